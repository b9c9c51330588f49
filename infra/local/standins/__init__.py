"""Local servers that speak the providers' wire protocols, for machines without keys.

各家服务商的本机替身。
"""
