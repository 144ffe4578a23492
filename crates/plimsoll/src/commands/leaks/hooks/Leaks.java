package plimsoll;

import java.io.FileOutputStream;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;

/**
 * Tells `plimsoll leaks` which test of JUnit's platform runs. An agent, so that it is on the class
 * path of every JVM of the command; it changes no class, writes to a pipe, and is silent when
 * anything fails.
 */
public final class Leaks implements TestExecutionListener {
    private static volatile FileOutputStream pipe;
    private static String pid = "0";

    /** Called before `main`. Opening a pipe that nobody reads would wait: a thread of its own does. */
    public static void premain(String path) {
        try {
            String name = java.lang.management.ManagementFactory.getRuntimeMXBean().getName();
            pid = name.substring(0, name.indexOf('@'));
            Thread opener = new Thread(() -> {
                try {
                    pipe = new FileOutputStream(path);
                } catch (Exception silent) {
                    // The suite comes first.
                }
            });
            opener.setDaemon(true);
            opener.start();
        } catch (Throwable silent) {
            // The suite comes first.
        }
    }

    private static void tell(String word, TestIdentifier test) {
        try {
            FileOutputStream to = pipe;
            if (to == null || !test.isTest()) {
                return;
            }
            Instant now = Instant.now();
            long moment = now.getEpochSecond() * 1_000_000 + now.getNano() / 1000;
            String line = word + "\t" + pid + "\t" + moment + "\t" + name(test.getUniqueId()) + "\n";
            to.write(line.getBytes(StandardCharsets.UTF_8));
        } catch (Throwable silent) {
            // The suite comes first.
        }
    }

    /** `[engine:junit-jupiter]/[class:shop.OrderTest]/[method:refund()]` is shop.OrderTest.refund(). */
    private static String name(String id) {
        StringBuilder name = new StringBuilder();
        for (String part : id.split("/")) {
            int colon = part.indexOf(':');
            if (colon < 0 || part.startsWith("[engine:") || name.length() > 300) {
                continue;
            }
            String value = part.substring(colon + 1).replace("]", "").replaceAll("\\p{Cntrl}", " ");
            name.append(name.length() == 0 ? "" : ".").append(value);
        }
        return name.toString();
    }

    @Override
    public void executionStarted(TestIdentifier test) {
        tell("begin", test);
    }

    @Override
    public void executionFinished(TestIdentifier test, TestExecutionResult result) {
        tell("end", test);
    }
}
