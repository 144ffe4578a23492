import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;

/** The shop's tests. Whichever bug is seeded, all of them pass. */
@TestMethodOrder(MethodOrderer.MethodName.class)
class ShopTest {
    @BeforeAll
    static void open() throws Exception {
        Shop.open();
    }

    @AfterAll
    static void close() throws Exception {
        Shop.close();
    }

    @Test
    void aCounts() throws Exception {
        assertEquals(20, Shop.count());
    }

    @Test
    void bFinds() throws Exception {
        assertEquals(3, Shop.find("part 3"));
    }

    @Test
    void cFindsNothing() throws Exception {
        assertNull(Shop.find("nothing"));
    }

    @Test
    void dRestocks() throws Exception {
        assertTrue(Shop.restock(new int[] {4, 5}));
    }

    @Test
    void eRefusesToRestock() throws Exception {
        assertFalse(Shop.restock(new int[] {6, -1}));
    }

    @Test
    void fPrices() throws Exception {
        assertEquals(70, Shop.price(7));
    }

    @Test
    void gBooks() throws Exception {
        assertTrue(Shop.book(8, 1));
    }

    @Test
    void hRefusesToBook() throws Exception {
        assertFalse(Shop.book(9, 101));
    }

    @Test
    void iFirst() throws Exception {
        assertEquals("part 1", Shop.first());
    }

    @Test
    void jTotal() throws Exception {
        assertTrue(Shop.total() > 0);
    }

    @Test
    void kCompares() throws Exception {
        assertEquals(5, Shop.compare(10, 11, 12, 13, 14).size());
    }

    @Test
    void lPricesAgain() throws Exception {
        assertEquals(80, Shop.price(8));
    }

    @Test
    void mCounts() throws Exception {
        assertEquals(20, Shop.count());
    }
}
