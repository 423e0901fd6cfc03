"""A table for chat sessions, with an index to list a user's sessions by. docs/howto/infrastructure.md explains it."""

from aws_cdk import App, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam

PROVISIONED = False  # cheaper where load is steady; scaled between these bounds, at 70 % of what is provisioned
LEAST_UNITS, MOST_UNITS = 5, 1000

app = App()
stack = Stack(app, "Sessions")


def scaled() -> dynamodb.Capacity:
    return dynamodb.Capacity.autoscaled(
        min_capacity=LEAST_UNITS, max_capacity=MOST_UNITS, target_utilization_percent=70
    )


table = dynamodb.TableV2(
    stack,
    "Table",
    table_name="SessionTable",
    partition_key=dynamodb.Attribute(name="SessionId", type=dynamodb.AttributeType.STRING),
    billing=dynamodb.Billing.provisioned(read_capacity=scaled(), write_capacity=scaled())
    if PROVISIONED
    else dynamodb.Billing.on_demand(),
    time_to_live_attribute="expireAt",
    point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(point_in_time_recovery_enabled=True),
    encryption=dynamodb.TableEncryptionV2.aws_managed_key(),
    deletion_protection=True,
    removal_policy=RemovalPolicy.RETAIN,
    global_secondary_indexes=[
        dynamodb.GlobalSecondaryIndexPropsV2(
            index_name="by_user",
            partition_key=dynamodb.Attribute(name="user", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="lc_updated", type=dynamodb.AttributeType.NUMBER),
            projection_type=dynamodb.ProjectionType.INCLUDE,
            non_key_attributes=[
                "expireAt",
                "lc_count",
                "lc_created",
                "lc_intent",
                "lc_key",
                "lc_metadata",
                "lc_trimmed",
                "lc_version",
            ],
        )
    ],
)

# Whoever runs the application: the rights of docs/permissions.md, on the table and its index.
service = iam.Role(stack, "Service", assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com"))
table.grant_read_write_data(service)

app.synth()
