"""
Real Kafka brokers, real clients, and lproxy between them.
"""
