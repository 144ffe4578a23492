module example.com/a

require github.com/lib/pq v1.12.1
