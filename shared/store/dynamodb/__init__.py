"""The store over DynamoDB.

用 DynamoDB 实现的任务表。
"""
