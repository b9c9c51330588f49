"""What the log service CLS needs to know of our lines: an index, and queries that are ready.

`index.json` is what `ModifyIndex` and `CreateIndex` of CLS take beside a `TopicId`; `queries.json`
lists queries with what each answers, and, where somebody should be told, the alarm's condition.
`{stage}`, `{job_id}` and `{request_id}` stand for what the reader fills in.

日志服务的索引配置与现成的查询语句。
"""
