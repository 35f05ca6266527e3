"""Delivery: the one policy by which every service consumes and publishes
(docs/architecture/delivery.md).
"""
