"""SQLAlchemy: ORM and core, its own pool before ours, savepoints, server-side cursors."""
import os
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import ForeignKey, create_engine, func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

engine = create_engine(os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://"),
                       pool_size=6, max_overflow=2, pool_pre_ping=True)


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "author"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    books: Mapped[list["Book"]] = relationship(back_populates="author")


class Book(Base):
    __tablename__ = "book"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"))
    author: Mapped[Author] = relationship(back_populates="books")


Base.metadata.drop_all(engine)
Base.metadata.create_all(engine)


def work(worker):
    for n in range(8):
        with Session(engine) as session:
            session.add(Author(name=f"{worker}-{n}", books=[Book(title=f"t{i}") for i in range(5)]))
            session.flush()
            try:
                with session.begin_nested():
                    session.add(Author(name=f"{worker}-{n}"))
            except IntegrityError:
                pass
            session.commit()
            found = session.scalars(select(Author).where(Author.name == f"{worker}-{n}")).one()
            assert len(found.books) == 5
    with engine.connect() as conn:
        stream = conn.execution_options(stream_results=True, yield_per=50)
        assert sum(r[0] for r in stream.execute(text("select generate_series(1, 300)"))) == 45150
    return worker


with ThreadPoolExecutor(6) as pool:
    print("workers", sorted(pool.map(work, range(6))))
with Session(engine) as session:
    print("authors", session.scalar(select(func.count(Author.id))), "books", session.scalar(select(func.count(Book.id))))
