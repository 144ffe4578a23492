require "sequel"

DB = Sequel.connect("postgres://billing:Tei4aiz9ie@db.internal/billing", max_connections: 10)
