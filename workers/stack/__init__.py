"""The local stack: PostgreSQL, Valkey and Bellwire's processes below one folder, kept by one supervisor."""
