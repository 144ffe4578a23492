class Warehouse < ActiveRecord::Base
  self.abstract_class = true
  establish_connection(ENV.fetch("WAREHOUSE_URL"))
end
