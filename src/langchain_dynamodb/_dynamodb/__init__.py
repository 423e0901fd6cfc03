"""The driver, and the only folder that knows the AWS SDK: values, expressions, clients, failures."""
