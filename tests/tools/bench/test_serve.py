import pytest

from tools.bench.serve import growth, latency_rows, serve
from tools.errors import InputError


def test_growth_compares_the_ends_by_their_medians():
    assert growth([100] * 9 + [900] + [100] * 80 + [110] * 9 + [5000]) == pytest.approx(0.1)
    assert growth([100, 100]) == 0


def test_latencies_are_percentiles():
    rows = latency_rows([number / 100 for number in range(1, 101)], 8)
    assert [row.ours for row in rows] == ["0.51 s", "0.95 s"] and "8 clients" in rows[0].what


def test_server_and_loop_agree_on_a_sample():
    table = serve(bundle="devonet_ndn", num_requests="8", clients="2")
    assert "server against loop" in table and "answers that differ from the loop's masks, of 8" in table


def test_wrong_input_is_told(tmp_path):
    with pytest.raises(InputError, match="choose one of"):
        serve(bundle="nothing")
    with pytest.raises(InputError, match="no image"):
        serve(dataset_dir=str(tmp_path))
    with pytest.raises(InputError, match="unknown flag --client"):
        serve(client="3")
