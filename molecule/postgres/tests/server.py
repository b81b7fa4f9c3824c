"""Asking the server of this scenario, as its superuser and as one of its roles."""

from testinfra.host import Host

PASSWORDS = {
    "shop_owner": "only-for-this-scenario-owner-91c2",
    "shop": "only-for-this-scenario-shop-1b2c",
    "report": "only-for-this-scenario-report-5d6e",
}
POOLER = "only-for-this-scenario-pooler-77aa"


def address_of(host: Host) -> str:
    return host.check_output("hostname -I").split()[0]


def query(host: Host, statement: str, database: str = "postgres") -> str:
    """Ask as the superuser, through the unix socket."""
    return host.check_output(f"runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 -d {database} -c %s", statement)


def as_role(
    host: Host, role: str, statement: str, address: str, database: str = "shop", password: str = "", tls: str = "require"
) -> tuple[int, str]:
    """Exit code and output of one statement over the network."""
    given = password or PASSWORDS[role]
    done = host.run(f"PGPASSWORD={given} psql -XAtq 'host={address} dbname={database} user={role} sslmode={tls}' -c %s", statement)
    return done.rc, (done.stdout + done.stderr).strip()


def unit(platform: str) -> str:
    return {"debian12": "postgresql@15-main.service", "debian13": "postgresql@17-main.service"}[platform]
