workers = 3
timeout = 20
