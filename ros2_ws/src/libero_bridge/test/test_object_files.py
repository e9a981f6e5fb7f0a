"""Objects from MJCF files that LIBERO does not have: known while an environment is built, and not afterwards."""

from __future__ import annotations

from pathlib import Path

import mujoco
import pytest

from libero_bridge.libero_setup import EMBEDDED_ASSETS, use_assets
from libero_bridge.object_files import SITES, known_objects

OBJECT = """<body name="object"><geom type="box" size="0.02 0.03 0.04" density="400" group="0"/></body>"""
PLACED = "".join(
    f'<site name="{name}" pos="{where}" size="0.005"/>'
    for name, where in zip(SITES, ("0 0 -0.04", "0 0 0.04", "0.03 0.02 0"), strict=True)
)
LAYOUTS = {
    "inside": f"<body>{OBJECT}{PLACED}</body>",
    "sites beside it": OBJECT + PLACED,
    "sites in it": OBJECT.replace("</body>", f"{PLACED}</body>"),
}


@pytest.mark.parametrize("layout", ["inside", "sites beside it", "sites in it"])
def test_an_object_stands_where_its_sites_say_and_falls_freely(tmp_path: Path, layout: str):
    use_assets(EMBEDDED_ASSETS)
    from libero.libero.envs.base_object import OBJECTS_DICT

    file = tmp_path / "duck.xml"
    file.write_text(f'<mujoco model="duck"><worldbody>{LAYOUTS[layout]}</worldbody></mujoco>')
    with known_objects({"duck": file}):
        duck = OBJECTS_DICT["duck"](name="duck_1")
    assert "duck" not in OBJECTS_DICT
    assert duck.category_name == "duck" and (duck.bottom_offset[2], duck.top_offset[2]) == (-0.04, 0.04)
    assert duck.horizontal_radius == 0.03
    model = mujoco.MjModel.from_xml_string(duck.get_xml())
    assert [joint.get("type") for joint in duck.get_obj().iter("joint")] == ["free"]
    assert model.body_mass.sum() == pytest.approx(8 * 0.02 * 0.03 * 0.04 * 400)


def test_what_was_made_known_is_forgotten_after_a_fault_too(tmp_path: Path):
    use_assets(EMBEDDED_ASSETS)
    from libero.libero.envs.base_object import OBJECTS_DICT

    with pytest.raises(KeyError), known_objects({"duck": tmp_path / "missing.xml"}):
        raise KeyError("something else")
    assert "duck" not in OBJECTS_DICT
