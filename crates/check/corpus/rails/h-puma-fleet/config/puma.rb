workers 4
threads 12, 12
preload_app!
