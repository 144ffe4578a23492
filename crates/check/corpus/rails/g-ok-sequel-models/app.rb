require "sinatra"
require "sequel"

DB = Sequel.connect(ENV.fetch("DATABASE_URL"), max_connections: Integer(ENV.fetch("MAX_THREADS", 5)), pool_timeout: 10)
Sequel::Model.plugin :timestamps
