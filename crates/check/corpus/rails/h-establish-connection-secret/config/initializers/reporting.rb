class ReportingRecord < ActiveRecord::Base
  self.abstract_class = true
  establish_connection(
    adapter: "postgresql",
    host: "replica.internal",
    database: "reporting",
    username: "reporting",
    password: "Oog7eiw0xu",
    pool: 5
  )
end
