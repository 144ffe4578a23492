import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** A small shop over JDBC and HikariCP. SEED names the bug that it has today. */
class Shop {
    static final String URL = System.getenv("JDBC_DATABASE_URL");
    static final String SEED = System.getenv().getOrDefault("SEED", "");
    static HikariDataSource pool;
    static Connection ledger;
    static final List<Object> kept = new ArrayList<>();
    static final ExecutorService background = Executors.newFixedThreadPool(1, work -> {
        Thread thread = new Thread(work);
        thread.setDaemon(true);
        return thread;
    });
    static final ThreadLocal<Connection> own = new ThreadLocal<>();

    static void open() throws SQLException {
        HikariConfig config = new HikariConfig();
        config.setJdbcUrl(URL);
        config.setMaximumPoolSize(6);
        config.setMinimumIdle(1);
        config.setConnectionTimeout(3000);
        pool = new HikariDataSource(config);
        ledger = DriverManager.getConnection(URL);
        try (Connection c = pool.getConnection(); Statement s = c.createStatement()) {
            s.execute("drop table if exists parts");
            s.execute("create table parts (id int primary key, name text not null, stock int not null)");
            s.execute("insert into parts select n, 'part ' || n, n from generate_series(1, 20) n");
        }
    }

    static void close() throws SQLException {
        ledger.close();
        pool.close();
        background.shutdown();
    }

    // --- the healthy part ---

    static int count() throws SQLException {
        try (Connection c = pool.getConnection(); Statement s = c.createStatement();
                ResultSet rows = s.executeQuery("select count(*) from parts")) {
            rows.next();
            return rows.getInt(1);
        }
    }

    // --- where the bugs are ---

    static Integer find(String name) throws SQLException {
        Connection c = pool.getConnection();
        PreparedStatement s = c.prepareStatement("select id from parts where name = ?");
        s.setString(1, name);
        ResultSet rows = s.executeQuery();
        if (!rows.next()) {
            if (!SEED.equals("early_return")) {
                c.close();
            }
            return null;
        }
        int id = rows.getInt(1);
        c.close();
        return id;
    }

    static boolean restock(int[] ids) throws SQLException {
        Connection c = pool.getConnection();
        try {
            c.setAutoCommit(false);
            for (int id : ids) {
                if (id < 0) {
                    throw new IllegalArgumentException("marker-in-code");
                }
                try (Statement s = c.createStatement()) {
                    s.executeUpdate("update parts set stock = stock + 1, name = 'marker-in-statement' where id = " + id);
                }
            }
            c.commit();
        } catch (IllegalArgumentException e) {
            if (SEED.equals("error_path")) {
                return false;
            }
            c.rollback();
            c.setAutoCommit(true);
            c.close();
            return false;
        }
        c.setAutoCommit(true);
        c.close();
        return true;
    }

    static int price(int id) throws SQLException {
        Connection c = DriverManager.getConnection(URL);
        try (Statement s = c.createStatement();
                ResultSet rows = s.executeQuery("select id * 10 from parts where id = " + id)) {
            rows.next();
            return rows.getInt(1);
        } finally {
            if (SEED.equals("driver_manager")) {
                kept.add(c);
            } else {
                c.close();
            }
        }
    }

    static boolean book(int id, int amount) throws SQLException {
        ledger.setAutoCommit(false);
        try (PreparedStatement s = ledger.prepareStatement("update parts set stock = stock - ? where id = ?")) {
            s.setInt(1, amount);
            s.setInt(2, id);
            s.executeUpdate();
        }
        if (amount > 100) {
            if (!SEED.equals("no_commit")) {
                ledger.rollback();
                ledger.setAutoCommit(true);
            }
            return false;
        }
        ledger.commit();
        ledger.setAutoCommit(true);
        return true;
    }

    /** Rows as they are wanted, few at a time. */
    static class Rows implements AutoCloseable {
        final Connection connection;
        final ResultSet rows;

        Rows(String sql) throws SQLException {
            connection = pool.getConnection();
            connection.setAutoCommit(false);
            Statement s = connection.createStatement();
            s.setFetchSize(5);
            rows = s.executeQuery(sql);
        }

        String next() throws SQLException {
            return rows.next() ? rows.getString(1) : null;
        }

        @Override
        public void close() throws SQLException {
            connection.rollback();
            connection.setAutoCommit(true);
            connection.close();
        }
    }

    static String first() throws SQLException {
        Rows rows = new Rows("select name from parts order by id");
        String name = rows.next();
        if (!SEED.equals("stream_not_closed")) {
            rows.close();
        }
        return name;
    }

    static int total() throws Exception {
        return background.submit(() -> {
            Connection c = own.get();
            if (c == null) {
                c = DriverManager.getConnection(URL);
                own.set(c);
            }
            try (Statement s = c.createStatement(); ResultSet rows = s.executeQuery("select sum(stock) from parts")) {
                rows.next();
                return rows.getInt(1);
            } finally {
                if (!SEED.equals("thread_local")) {
                    own.remove();
                    c.close();
                }
            }
        }).get();
    }

    static List<Integer> compare(int... ids) throws SQLException {
        List<Connection> taken = new ArrayList<>();
        List<Integer> found = new ArrayList<>();
        for (int id : ids) {
            if (taken.isEmpty() || SEED.equals("pool_outgrown")) {
                taken.add(pool.getConnection());
            }
            try (Statement s = taken.get(taken.size() - 1).createStatement();
                    ResultSet rows = s.executeQuery("select stock from parts where id = " + id)) {
                rows.next();
                found.add(rows.getInt(1));
            }
        }
        for (Connection c : taken) {
            c.close();
        }
        return found;
    }
}
