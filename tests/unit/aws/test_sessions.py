import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from tests.support.aws import REGION, Site, isolate

from glacier_sync.aws import CredentialsError, ObjectStore
from glacier_sync.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)


def test_a_profile_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError) as raised:
        ObjectStore.open(REGION, "ap_northeast")
    assert raised.value.message == (
        f"the credentials profile 'ap_northeast' doesn't exist in {tmp_path}/aws-credentials or {tmp_path}/aws-config; "
        "add it there, or correct the profile in intake.yml (or AWS_PROFILE)"
    )


def test_the_variable_names_a_profile_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "forgotten")
    with pytest.raises(CredentialsError, match="profile 'forgotten' doesn't exist"):
        ObjectStore.open(REGION, None)


def test_a_profile_without_credentials_does_not_take_others(tmp_path: Path) -> None:
    (tmp_path / "aws-config").write_text("[profile empty]\nregion = ap-northeast-2\n")
    with pytest.raises(CredentialsError, match="profile 'empty' has no credentials"):
        ObjectStore.open(REGION, "empty")


class _Role(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        answer = {"AccessKeyId": "role", "SecretAccessKey": "s", "Token": "t", "Expiration": "2999-01-01T00:00:00Z"}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def test_a_profile_without_credentials_does_not_take_the_machines_role(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "aws-config").write_text("[profile empty]\nregion = ap-northeast-2\n")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Role) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{server.server_address[1]}/")
        ObjectStore.open(REGION, None)
        with pytest.raises(CredentialsError, match="profile 'empty' has no credentials"):
            ObjectStore.open(REGION, "empty")
        server.shutdown()


def test_no_credentials_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(CredentialsError, match="default chain \\(no profile is set\\) has no credentials; add aws_acc"):
        ObjectStore.open(REGION, None)


def test_half_of_the_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(CredentialsError, match=r"can't be used: .*AWS_SECRET_ACCESS_KEY; correct"):
        ObjectStore.open(REGION, None)


def test_a_broken_credentials_file(tmp_path: Path) -> None:
    (tmp_path / "aws-credentials").write_text("aws_access_key_id = without a section\n")
    with pytest.raises(CredentialsError, match=f"correct {tmp_path}/aws-credentials"):
        ObjectStore.open(REGION, "ap_northeast")


def test_an_endpoint_that_is_no_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "nonsense")
    with pytest.raises(ConfigurationError, match="nonsense; correct Amazon's variables"):
        ObjectStore.open(REGION, None)


def test_a_profile_in_the_file_is_used(aws: Site, tmp_path: Path) -> None:
    (tmp_path / "aws-credentials").write_text("[ap_northeast]\naws_access_key_id=a\naws_secret_access_key=b\n")
    aws.put("k", b"content")
    assert ObjectStore.open(REGION, "ap_northeast").head(aws.bucket, "k").size == 7
