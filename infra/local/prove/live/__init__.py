"""Proofs in real time: the whole of `./scripts/serve`, asked over HTTP.

实时验证：整套服务，通过 HTTP 访问。
"""
