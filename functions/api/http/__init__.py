"""What every request passes through: middleware, bodies, headers, problems, security.

每个请求都经过的部分：中间件、请求体、请求头、错误与鉴权。
"""
