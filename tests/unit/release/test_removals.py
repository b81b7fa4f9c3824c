"""What new migrations take away from the code that still runs, as far as their text tells."""

from pathlib import Path

import pytest
from ansible_collections.slipway.stack.plugins.module_utils.release.removals import removals
from ansible_collections.slipway.stack.plugins.module_utils.release.schema import FILES

ALEMBIC = '''"""drop table customer: only said here"""
from alembic import op
import sqlalchemy as sa


def upgrade() -> None:
    """Drops a column: rename to nothing."""
    {forth}


def downgrade() -> None:
    op.drop_table("customer")
    op.execute("ALTER TABLE customer DROP COLUMN email")
'''
DJANGO = """from django.db import migrations, models


class Migration(migrations.Migration):
    operations = [
        {forth}
    ]
"""


def found(folder: Path, name: str, text: str) -> list[str]:
    for side in ("new", "live"):
        file = folder / side / "shop/migrations/0001_first.py"
        file.parent.mkdir(parents=True)
        file.write_text(ALEMBIC.format(forth='op.drop_table("seen_before")'))
    (folder / "new/shop/migrations" / name).write_text(text)
    return removals(folder / "new", folder / "live", FILES)


@pytest.mark.parametrize(
    ("forth", "told"),
    [
        ('op.drop_column("customer", "email")', "drop_column customer email"),
        ('op.drop_table("customer")', "drop_table customer"),
        ('op.rename_table("customer", "client")', "rename_table customer client"),
        ('op.alter_column("customer", "email", new_column_name="mail")', "alter_column customer email mail"),
        ('with op.batch_alter_table("customer") as batch: batch.drop_column("email")', "drop_column email"),
        ('op.execute("ALTER TABLE customer  DROP COLUMN email")', "DROP COLUMN email"),
        ('op.execute(sa.text("alter table customer rename to client"))', "rename to client"),
        ('op.execute("alter table customer rename email to mail")', "rename email to mail"),
        ('op.add_column("customer", sa.Column("email", sa.Text()))', ""),
        ('op.alter_column("customer", "email", nullable=True)', ""),
        ('op.drop_index("customer_email")', ""),
        ("op.execute(\"insert into note values ('-- drop table')\")", ""),
    ],
)
def test_alembic(tmp_path: Path, forth: str, told: str) -> None:
    assert found(tmp_path, "0002_second.py", ALEMBIC.format(forth=forth)) == ([f"shop/migrations/0002_second.py:8 {told}"] if told else [])


@pytest.mark.parametrize(
    ("forth", "told"),
    [
        ('migrations.RemoveField(model_name="customer", name="email"),', "RemoveField customer email"),
        ('migrations.DeleteModel(name="customer"),', "DeleteModel customer"),
        ('migrations.RenameField("customer", "email", "mail"),', "RenameField customer email mail"),
        ('migrations.RunSQL("DROP TABLE customer", "create table customer ()"),', "DROP TABLE customer"),
        ('migrations.RunSQL([("DROP VIEW report", None)]),', "DROP VIEW report"),
        ('migrations.RunSQL("create table customer ()", reverse_sql="DROP TABLE customer"),', ""),
        ('migrations.SeparateDatabaseAndState(state_operations=[migrations.DeleteModel("customer")]),', ""),
        ('migrations.SeparateDatabaseAndState(database_operations=[migrations.DeleteModel("customer")]),', "DeleteModel customer"),
        ('migrations.AddField("customer", "email", models.TextField(null=True)),', ""),
    ],
)
def test_django(tmp_path: Path, forth: str, told: str) -> None:
    assert found(tmp_path, "0002_second.py", DJANGO.format(forth=forth)) == ([f"shop/migrations/0002_second.py:6 {told}"] if told else [])


def test_sql_files_and_their_comments(tmp_path: Path) -> None:
    text = "-- drop table customer\ncreate table a ();\n/* drop\ntable b */\nALTER TABLE c\n  DROP COLUMN d;\n"
    assert found(tmp_path, "0002_second.sql", text) == ["shop/migrations/0002_second.sql:6 DROP COLUMN d"]


def test_a_file_that_changed_counts_and_one_that_cannot_be_read_does_not(tmp_path: Path) -> None:
    assert found(tmp_path, "0001_first.py", ALEMBIC.format(forth='op.drop_table("other")')) == [
        "shop/migrations/0001_first.py:8 drop_table other"
    ]
    (tmp_path / "new/shop/migrations/0001_first.py").write_text("def upgrade(:\n")
    assert removals(tmp_path / "new", tmp_path / "live", FILES) == []
