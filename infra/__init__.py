"""How Maquette is put on machines and clouds.

部署与运行所需的一切。
"""
