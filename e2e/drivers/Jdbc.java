import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.sql.*;
import java.util.*;
import java.util.concurrent.*;

/** pgjdbc: server-side prepared statements at once, batches, fetch size, savepoints, generated keys. */
public class Jdbc {
    static final String URL = System.getenv("JDBC_URL") + "&sslmode=verify-full&sslrootcert=" + told("PGSSLROOTCERT")
            + "&password=" + told("PGPASSWORD");

    static String told(String name) {
        return URLEncoder.encode(System.getenv(name), StandardCharsets.UTF_8);
    }

    static int work(int worker) throws Exception {
        // prepareThreshold 1: named statements from the first execution.
        try (Connection c = DriverManager.getConnection(URL + "&prepareThreshold=1&ApplicationName=jdbc" + worker)) {
            for (int n = 0; n < 12; n++) {
                c.setAutoCommit(false);
                try (PreparedStatement put = c.prepareStatement("insert into items (id, name) values (?, ?)",
                        Statement.RETURN_GENERATED_KEYS)) {
                    for (int i = 0; i < 5; i++) {
                        put.setInt(1, worker * 1000 + n * 10 + i);
                        put.setString(2, "w" + worker);
                        put.addBatch();
                    }
                    put.executeBatch();
                }
                Savepoint here = c.setSavepoint();
                try (Statement s = c.createStatement()) {
                    s.execute("insert into items (id) values (" + (worker * 1000 + n * 10) + ")");
                    throw new AssertionError("a duplicate was accepted");
                } catch (SQLException e) {
                    if (!e.getSQLState().equals("23505")) throw e;
                    c.rollback(here);
                }
                c.commit();
                c.setAutoCommit(true);
                try (PreparedStatement get = c.prepareStatement("select name, ?::int from items where id = ?")) {
                    get.setInt(1, n);
                    get.setInt(2, worker * 1000 + n * 10);
                    try (ResultSet r = get.executeQuery()) {
                        r.next();
                        if (!r.getString(1).equals("w" + worker) || r.getInt(2) != n) throw new AssertionError("wrong row");
                    }
                }
            }
            c.setAutoCommit(false);
            try (Statement s = c.createStatement()) {
                s.setFetchSize(50);
                long sum = 0;
                try (ResultSet r = s.executeQuery("select generate_series(1, 500)")) {
                    while (r.next()) sum += r.getInt(1);
                }
                if (sum != 125250) throw new AssertionError("sum " + sum);
            }
            c.commit();
            c.setReadOnly(true);
            try (Statement s = c.createStatement()) {
                s.execute("insert into items (id) values (-1)");
                throw new AssertionError("read only, yet it wrote");
            } catch (SQLException e) {
                if (!e.getSQLState().equals("25006")) throw e;
            }
            c.rollback();
            c.setReadOnly(false);
        }
        return worker;
    }

    public static void main(String[] args) throws Exception {
        try (Connection c = DriverManager.getConnection(URL); Statement s = c.createStatement()) {
            s.execute("drop table if exists items; create table items (id int primary key, name text)");
        }
        ExecutorService pool = Executors.newFixedThreadPool(6, task -> {
            Thread thread = new Thread(task);
            thread.setDaemon(true); // A failed worker must end the program.
            return thread;
        });
        List<Future<Integer>> all = new ArrayList<>();
        for (int w = 0; w < 6; w++) { int worker = w; all.add(pool.submit(() -> work(worker))); }
        for (Future<Integer> f : all) f.get();
        pool.shutdown();
        try (Connection c = DriverManager.getConnection(URL); Statement s = c.createStatement();
                ResultSet r = s.executeQuery("select count(*), sum(id) from items")) {
            r.next();
            System.out.println("rows " + r.getInt(1) + " sum " + r.getLong(2));
        }
    }
}
