"""The service's doors: routes, bodies, access, problems.

服务的 HTTP 入口。
"""
