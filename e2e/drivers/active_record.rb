# ActiveRecord: migrations under an advisory lock, transactions with savepoints, row locks, prepared statements, threads.
require "active_record"

ActiveRecord::Base.establish_connection(
  url: ENV.fetch("DATABASE_URL"), pool: 8, checkout_timeout: 30, prepared_statements: true,
  variables: { statement_timeout: "30s" }, min_messages: "warning",
)

class CreateShop < ActiveRecord::Migration[6.1]
  def change
    create_table :products do |t|
      t.string :name, null: false, index: { unique: true }
      t.integer :stock, null: false, default: 0
      t.jsonb :note
      t.timestamps
    end
    create_table(:orders) { |t| t.references :product, foreign_key: true }
  end
end

class AddPrice < ActiveRecord::Migration[6.1]
  disable_ddl_transaction!
  def change
    add_column :products, :price, :decimal, precision: 10, scale: 2
    add_index :products, :price, algorithm: :concurrently
  end
end

class Product < ActiveRecord::Base
  has_many :orders
end

class Order < ActiveRecord::Base
  belongs_to :product
end

ActiveRecord::Migration.verbose = false
connection = ActiveRecord::Base.connection
connection.execute("drop table if exists orders, products, schema_migrations, ar_internal_metadata")
# The migrator takes an advisory lock of the session and gives it back.
ActiveRecord::SchemaMigration.create_table
migrations = [CreateShop.new("CreateShop", 1), AddPrice.new("AddPrice", 2)]
ActiveRecord::Migrator.new(:up, migrations, ActiveRecord::SchemaMigration).migrate
puts "versions #{ActiveRecord::SchemaMigration.all_versions.join(' ')}"
locks = connection.select_value("select count(*) from pg_locks l join pg_database d on d.oid = l.database " \
                                "where locktype = 'advisory' and datname = current_database()")
puts "advisory locks left #{locks}"

5.times { |i| Product.create!(name: "p#{i}", stock: 100, price: i + 0.25, note: { "quote" => "it's" }) }
problems = Queue.new
work = (0...8).map do |worker|
  Thread.new do
    12.times do |round|
      Product.transaction do
        product = Product.lock.find_by!(name: "p#{round % 5}")
        Order.create!(product: product)
        product.update!(stock: product.stock - 1)
        begin
          Product.transaction(requires_new: true) { Product.create!(name: "p0") }
          problems << "a second p0"
        rescue ActiveRecord::RecordNotUnique
          # The savepoint is rolled back, the transaction goes on.
        end
      end
      Product.transaction do
        Order.create!(product_id: Product.first.id)
        raise ActiveRecord::Rollback
      end
      timeout = ActiveRecord::Base.connection.select_value("show statement_timeout")
      problems << "statement_timeout #{timeout}" unless timeout == "30s"
      zone = ActiveRecord::Base.connection.select_value("show timezone")
      problems << "timezone #{zone}" unless zone == "UTC"
    end
    Product.transaction(isolation: :serializable) { Product.count }
  rescue StandardError => error
    problems << "#{worker}: #{error.class}: #{error.message}"
  ensure
    ActiveRecord::Base.connection_pool.release_connection
  end
end
work.each(&:join)
puts problems.pop until problems.empty?
puts "orders #{Order.count} stock #{Product.sum(:stock)} price #{Product.sum(:price)}"

# Prepared statements of a table that changes below them.
before = Product.find(1).attributes.size
connection.execute("alter table products add column more integer")
after = 3.times.map { Product.find(1).name }
puts "columns #{before} names #{after.join(' ')}"
Product.reset_column_information
puts "columns #{Product.find(1).attributes.size}"

Product.in_batches(of: 2).each { |batch| batch.update_all("stock = stock + 1") }
puts "stock #{Product.sum(:stock)}"
begin
  ActiveRecord::Base.connection.execute("select 1 / 0")
rescue ActiveRecord::StatementInvalid => error
  puts error.message.lines.first
end
ActiveRecord::Base.connection.execute("set statement_timeout = 100")
begin
  ActiveRecord::Base.connection.execute("select pg_sleep(30)")
rescue ActiveRecord::QueryCanceled
  puts "cancelled by its own timeout"
end
ActiveRecord::Base.connection.reset!
puts "after reset #{ActiveRecord::Base.connection.select_value('show statement_timeout')}"
