"""What of an address may be shown: what the library that opens it takes for neither user, password nor a setting."""

from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nertransfer.core.errors import InputError
from nertransfer.core.options import StoreOptions
from nertransfer.tracking.addresses import public_tags, public_uri, resolve_uri


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        # nothing in them is secret
        ("http://host:5000", "http://host:5000"),
        ("https://Host/a/", "https://Host/a/"),
        ("databricks", "databricks"),
        ("databricks://scope:prefix", "databricks://scope:prefix"),
        ("sqlite:////a@b/mlflow.db", "sqlite:////a@b/mlflow.db"),
        ("sqlite:///my mlflow.db?timeout=5", "sqlite:///my mlflow.db?timeout=5"),
        ("sqlite://", "sqlite://"),
        ("postgresql+psycopg://[::1]:5432/db?sslmode=require", "postgresql+psycopg://[::1]:5432/db?sslmode=require"),
        ("git@host:owner/name.git", "git@host:owner/name.git"),
        ("https://host/owner/name.git#folder/of/it", "https://host/owner/name.git#folder/of/it"),
        ("/srv/me@work/project", "/srv/me@work/project"),
        # user and password
        ("https://me:secret@host:5000/x", "https://host:5000/x"),
        ("git+https://secret@host/owner/name.git#folder", "git+https://host/owner/name.git#folder"),
        ("postgresql://me:s/ec?r#e:t[]@host/db", "postgresql://host/db"),
        ("mysql+pymysql://secret@host:1/db", "mysql+pymysql://host:1/db"),
        ("sqlite+pysqlcipher://:secret@/my.db?kdf_iter=64000", "sqlite+pysqlcipher:///my.db"),
        # settings
        ("postgresql://host/db?sslmode=require&user=me&password=secret", "postgresql://host/db?sslmode=require"),
        ("postgresql://host/db?sslpassword=sec@ret", "postgresql://host/db"),
        ("mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BPWD%3Dsecret", "mssql+pyodbc:///"),
        ("sqlite:////a/my.db?key=secret&mode=ro", "sqlite:////a/my.db?mode=ro"),
        ("https://host/x?access_token=secret&timeout=3#token=secret", "https://host/x?timeout=3"),
        ("s3://bucket/x?X-Amz-Signature=secret", "s3://bucket/x"),
        # nobody knows where the password ends
        ("postgresql://me:se@cret@host/db", "postgresql://..."),
        ("postgresql:///me:secret@host/db", "postgresql://..."),
        ("postgresql://me:secret", "postgresql://..."),
        ("https://me:se/cret@host", "https://..."),
        ("https://me:se#cret@host", "https://..."),
        ("https://me?secret@host", "https://..."),
        ("https://me:se[cret@host", "https://..."),
        ("http://host:secret", "http://..."),
        ("http://host:99999", "http://..."),
        ("http://[", "http://..."),
        ("me:secret@host", "..."),
        ("se cret://host", "..."),
    ],
)  # fmt: skip
def test_user_password_and_settings_are_not_shown(uri: str, shown: str) -> None:
    assert public_uri(uri) == shown


FORMS = {
    "http://me:{}@host:5000/x": "http://host:5000/x",
    "https://me:{}@host": "https://host",
    "git+https://me:{}@host/name.git": "git+https://host/name.git",
    "postgresql://me:{}@host:5432/db": "postgresql://host:5432/db",
    "mysql+pymysql://me:{}@host/db?charset=utf8mb4": "mysql+pymysql://host/db?charset=utf8mb4",
}
PRINTABLE = st.text(st.characters(min_codepoint=32, exclude_categories=["C"]), min_size=1, max_size=20)


@given(PRINTABLE, st.sampled_from(sorted(FORMS)))
@settings(max_examples=300, deadline=None)
def test_a_password_that_is_quoted_is_taken_out(password: str, form: str) -> None:
    uri = form.format(quote(password, safe=""))
    assert public_uri(uri) == FORMS[form]
    assert resolve_uri(StoreOptions(uri)) == uri


@given(st.one_of(PRINTABLE, st.text("a@:/?#[]%&= \\1", min_size=1)), st.sampled_from(sorted(FORMS)))
@example("p@ss?mode=word", "mysql+pymysql://me:{}@host/db?charset=utf8mb4")
@settings(max_examples=500, deadline=None)
def test_of_a_password_that_is_not_quoted_nothing_is_shown_either(password: str, form: str) -> None:
    """Whether or not a library would take the address."""
    uri = form.format(password)
    assert public_uri(uri) in (FORMS[form], form.partition("://")[0] + "://...")


@pytest.mark.parametrize("variable", [False, True])
@pytest.mark.parametrize(
    "uri", ["postgresql://me:se@cret@host/db", "https://me:se/cret@host", "http://[", "http://host:secret", "http://"]
)
def test_an_address_that_can_be_read_in_two_ways_or_none_is_refused(
    uri: str, variable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(InputError, match="%40") as caught:
        resolve_uri(StoreOptions("" if variable else uri))
    assert str(caught.value).startswith("MLFLOW_TRACKING_URI=" if variable else "tracking_uri=")
    assert "cret" not in str(caught.value)


def test_a_parameter_that_is_no_address_is_not_repeated() -> None:
    with pytest.raises(InputError, match=r"tracking_uri='\.\.\.' is not allowed"):
        StoreOptions("postgresql:/me:secret@host/db")
    with pytest.raises(InputError, match="tracking_uri='mlruns' is not allowed"):
        StoreOptions("mlruns")


def test_only_tags_on_the_code_are_made_public() -> None:
    address, shown = "https://me:secret@host/name.git", "https://host/name.git"
    tags = {"mlflow.source.name": address, "mlflow.source.git.repoURL": address, "note": f"from {address}"}
    assert public_tags(tags) == dict(zip(tags, (shown, shown, f"from {address}"), strict=True))
