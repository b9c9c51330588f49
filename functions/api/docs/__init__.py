"""What the API says of itself: OpenAPI, examples, the page at /docs.

接口文档：OpenAPI、示例与文档页面。
"""
