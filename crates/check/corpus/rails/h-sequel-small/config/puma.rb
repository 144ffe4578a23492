workers 2
threads 8, 8
