"""9. Slot row with Argon2 m=64 GiB → refused before allocation; slot row added by a database writer → refused."""

from __future__ import annotations

import os
import resource

from keyvault.errors import Exit
from tests.attacks.conftest import read, write
from tests.cli.conftest import Gwctl

PARAMS = '{"iterations": 3, "kdf": "argon2id", "lanes": 4, "memory_kib": %d, "salt": "' + "00" * 16 + '"}'


def unlock_by_passphrase(gwctl: Gwctl) -> tuple[int, str]:
    read_end, write_end = os.pipe()
    os.write(write_end, b"correct horse battery staple")
    os.close(write_end)
    ran = gwctl("vault", "unlock", environ={"GWCTL_PASSPHRASE_FD": str(read_end)})
    os.close(read_end)
    return ran.code, ran.err


def test_64_gib_are_refused_before_they_are_asked_for(gwctl: Gwctl) -> None:
    gwctl("vault", "slots", "create", "passphrase", "--secret-stdin", stdin="correct horse battery staple")
    (gwctl.home / "config" / "unlock.key").unlink()
    assert unlock_by_passphrase(gwctl)[0] == 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for memory_kib, said in ((64 * 1024 * 1024, "65536 MiB"), (2 * 1024 * 1024, "2048 MiB"), (2**62, "MiB")):
        write(gwctl.home, "UPDATE vault_slots SET params = ? WHERE kind = 'passphrase'", PARAMS % memory_kib)
        code, err = unlock_by_passphrase(gwctl)
        assert code == Exit.FAILURE
        assert said in err
        assert "more than is ever written; refused" in err
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 512 * 1024


def test_a_slot_that_a_database_writer_added_is_refused(gwctl: Gwctl) -> None:
    copy = "INSERT INTO vault_slots SELECT 'file-9', kind, scope, params, wrapped, detail, created_ms FROM vault_slots"
    assert write(gwctl.home, copy) == 1
    refused = gwctl("vault", "unlock")
    assert refused.code == Exit.FAILURE
    assert "table of slots was changed" in refused.err
    assert gwctl("keys", "create", "bot", "--json").code == Exit.FAILURE
    assert read(gwctl.home, "SELECT count(*) FROM keys") == [(0,)]


def test_a_slot_of_scope_keys_is_not_widened_by_its_row(gwctl: Gwctl) -> None:
    file = gwctl.home / "cron.key"
    gwctl("vault", "slots", "create", "file", "--scope", "keys", "--key-file", str(file))
    write(gwctl.home, "UPDATE vault_slots SET scope = 'all' WHERE id = 'file-2'")
    refused = gwctl("vault", "unlock", environ={"GWCTL_KEY_FILE": str(file)})
    assert refused.code == Exit.FAILURE
    assert "slot file-2 of the vault was changed" in refused.err
