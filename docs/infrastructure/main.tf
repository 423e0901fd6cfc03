# A table for chat sessions, with an index to list a user's sessions by. docs/howto/infrastructure.md explains it.

variable "table_name" {
  type    = string
  default = "SessionTable"
}

variable "provisioned" {
  description = "Cheaper where load is steady; scaled between the bounds below. Else on demand."
  type        = bool
  default     = false
}

variable "least_units" {
  type    = number
  default = 5
}

variable "most_units" {
  type    = number
  default = 1000
}

resource "aws_dynamodb_table" "sessions" {
  name                        = var.table_name
  billing_mode                = var.provisioned ? "PROVISIONED" : "PAY_PER_REQUEST"
  read_capacity               = var.provisioned ? var.least_units : null
  write_capacity              = var.provisioned ? var.least_units : null
  hash_key                    = "SessionId"
  deletion_protection_enabled = true

  attribute {
    name = "SessionId"
    type = "S"
  }

  attribute {
    name = "user"
    type = "S"
  }

  attribute {
    name = "lc_updated"
    type = "N"
  }

  global_secondary_index {
    name            = "by_user"
    hash_key        = "user"
    range_key       = "lc_updated"
    read_capacity   = var.provisioned ? var.least_units : null
    write_capacity  = var.provisioned ? var.least_units : null
    projection_type = "INCLUDE"
    non_key_attributes = [
      "expireAt", "lc_count", "lc_created", "lc_intent", "lc_key", "lc_metadata", "lc_trimmed", "lc_version"
    ]
  }

  ttl {
    attribute_name = "expireAt"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled = true
  }

  lifecycle {
    # Auto scaling moves these, and the capacity of the index, which can only be ignored with all of it: take
    # global_secondary_index out for the one apply that changes the index.
    ignore_changes = [read_capacity, write_capacity, global_secondary_index]
  }
}

locals {
  scaled = var.provisioned ? {
    "table:ReadCapacityUnits"  = { resource = "", metric = "DynamoDBReadCapacityUtilization" }
    "table:WriteCapacityUnits" = { resource = "", metric = "DynamoDBWriteCapacityUtilization" }
    "index:ReadCapacityUnits"  = { resource = "/index/by_user", metric = "DynamoDBReadCapacityUtilization" }
    "index:WriteCapacityUnits" = { resource = "/index/by_user", metric = "DynamoDBWriteCapacityUtilization" }
  } : {}
}

resource "aws_appautoscaling_target" "units" {
  for_each           = local.scaled
  service_namespace  = "dynamodb"
  resource_id        = "table/${aws_dynamodb_table.sessions.name}${each.value.resource}"
  scalable_dimension = "dynamodb:${each.key}"
  min_capacity       = var.least_units
  max_capacity       = var.most_units
}

resource "aws_appautoscaling_policy" "units" {
  for_each           = local.scaled
  name               = each.key
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.units[each.key].service_namespace
  resource_id        = aws_appautoscaling_target.units[each.key].resource_id
  scalable_dimension = aws_appautoscaling_target.units[each.key].scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value = 70

    predefined_metric_specification {
      predefined_metric_type = each.value.metric
    }
  }
}

output "table_arn" {
  value = aws_dynamodb_table.sessions.arn
}
