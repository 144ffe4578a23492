import java.io.*;
import java.nio.charset.StandardCharsets;
import java.sql.*;
import java.util.*;
import org.postgresql.PGConnection;
import org.postgresql.copy.*;
import org.postgresql.util.*;

/** pgjdbc: the checklist of README.md. */
public class Jdbc {
    static Connection connect() throws SQLException {
        Properties told = new Properties();
        told.setProperty("user", System.getenv("PGUSER"));
        told.setProperty("password", System.getenv("PGPASSWORD"));
        told.setProperty("sslmode", System.getenv("PGSSLMODE"));
        told.setProperty("sslrootcert", System.getenv("PGSSLROOTCERT"));
        // Named statements from the first execution.
        told.setProperty("prepareThreshold", "1");
        return DriverManager.getConnection("jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT")
                + "/" + System.getenv("PGDATABASE"), told);
    }

    static String value(Connection c, String sql) throws SQLException {
        try (Statement s = c.createStatement(); ResultSet r = s.executeQuery(sql)) {
            r.next();
            return r.getString(1);
        }
    }

    static String told(SQLException error) {
        ServerErrorMessage message = ((PSQLException) error).getServerErrorMessage();
        return error.getSQLState() + " " + message.getConstraint() + " at " + message.getPosition();
    }

    static void prepared(Connection c) throws SQLException {
        System.out.print("prepared");
        try (PreparedStatement sum = c.prepareStatement("select ?::int + ?::int")) {
            for (int n = 0; n < 20; n++) {
                sum.setInt(1, n);
                sum.setInt(2, 2);
                try (ResultSet r = sum.executeQuery()) {
                    r.next();
                    System.out.print(" " + r.getInt(1));
                }
            }
            System.out.println(" of " + sum.getParameterMetaData().getParameterCount() + " parameters");
        }
    }

    /** Batches go out in one flight: the second fails in its middle. */
    static void pipeline(Connection c) throws SQLException {
        System.out.print("pipeline");
        try (PreparedStatement put = c.prepareStatement("insert into checklist_jdbc values (?, 12 / (? - 203))")) {
            for (int batch = 0; batch < 3; batch++) {
                for (int i = 0; i < 5; i++) {
                    put.setInt(1, batch * 100 + i);
                    put.setInt(2, batch * 100 + i);
                    put.addBatch();
                }
                try {
                    System.out.print(" " + Arrays.stream(put.executeBatch()).sum());
                } catch (BatchUpdateException error) {
                    System.out.print(" " + error.getSQLState() + Arrays.toString(error.getUpdateCounts()));
                }
            }
        }
        System.out.println(" rows " + value(c, "select count(*) from checklist_jdbc"));
        try (Statement s = c.createStatement()) {
            s.execute("truncate checklist_jdbc");
        }
    }

    static void copy(Connection c) throws Exception {
        CopyManager copies = c.unwrap(PGConnection.class).getCopyAPI();
        StringBuilder lines = new StringBuilder();
        for (int n = 0; n < 1000; n++) lines.append(n).append("\tname ").append(n).append('\n');
        long rows = copies.copyIn("copy checklist_jdbc from stdin", new StringReader(lines.toString()));
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        long gone = copies.copyOut("copy (select * from checklist_jdbc order by id) to stdout", out);
        System.out.println("copy in " + rows + " out " + gone + " rows " + out.size() + " bytes");
        CopyIn broken = copies.copyIn("copy checklist_jdbc from stdin");
        byte[] line = "7000\tname\n".getBytes(StandardCharsets.UTF_8);
        broken.writeToCopy(line, 0, line.length);
        broken.cancelCopy();
        System.out.println("copy given up, rows " + value(c, "select count(*) from checklist_jdbc"));
    }

    static void transaction(Connection c) throws SQLException {
        c.setAutoCommit(false);
        try (Statement s = c.createStatement()) {
            s.execute("insert into checklist_jdbc values (5000, 'kept')");
            Savepoint a = c.setSavepoint("a");
            try {
                s.execute("insert into checklist_jdbc values (5000, 'again')");
            } catch (SQLException error) {
                System.out.print("error " + told(error));
                c.rollback(a);
            }
        }
        c.commit();
        c.setAutoCommit(true);
        System.out.println(" and " + value(c, "select name from checklist_jdbc where id = 5000"));
        try (Statement s = c.createStatement()) {
            s.execute("selekt 1");
        } catch (SQLException error) {
            System.out.println("error " + told(error));
        }
    }

    static void large(Connection c) throws SQLException {
        // In parts of eight rows, by a portal.
        c.setAutoCommit(false);
        int rows = 0;
        long bytes = 0;
        try (Statement s = c.createStatement()) {
            s.setFetchSize(8);
            try (ResultSet r = s.executeQuery("select repeat('x', 262144) from generate_series(1, 64)")) {
                for (; r.next(); rows++) bytes += r.getString(1).length();
            }
        }
        c.commit();
        c.setAutoCommit(true);
        System.out.println("large " + rows + " rows " + bytes + " bytes");
    }

    static void cancel(Connection c) throws Exception {
        try (Connection other = connect(); Statement slow = c.createStatement()) {
            Thread canceller = new Thread(() -> {
                try {
                    String running = "select count(*) from pg_stat_activity where state = 'active' and query like '%jdbc waits%' "
                            + "and pid <> pg_backend_pid()";
                    while (value(other, running).equals("0")) Thread.onSpinWait();
                    slow.cancel();
                } catch (SQLException error) {
                    System.out.println(error);
                }
            });
            canceller.start();
            try {
                slow.execute("select pg_sleep(60), 'jdbc waits'");
            } catch (SQLException error) {
                System.out.print("cancel " + error.getSQLState());
            }
            canceller.join();
            slow.setQueryTimeout(1);
            try {
                slow.execute("select pg_sleep(60)");
            } catch (SQLException error) {
                System.out.print(" timeout " + error.getSQLState());
            }
            System.out.println(" and goes on " + value(c, "select 7"));
        }
    }

    public static void main(String[] args) throws Exception {
        try (Connection c = connect(); Statement s = c.createStatement()) {
            System.out.println("connected as " + value(c, "select current_user"));
            s.execute("drop table if exists checklist_jdbc");
            s.execute("create table checklist_jdbc (id int primary key, name text)");
            prepared(c);
            pipeline(c);
            copy(c);
            transaction(c);
            s.clearWarnings();
            s.execute("do $$ begin raise notice 'a notice'; end $$");
            PSQLWarning notice = (PSQLWarning) s.getWarnings();
            System.out.println("notice " + notice.getServerErrorMessage().getSeverity() + " " + notice.getMessage());
            large(c);
            cancel(c);
        }
    }
}
