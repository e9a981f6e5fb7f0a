"""Objects from MJCF files that LIBERO does not register, known to it while an environment is built."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

FREE_JOINT = {"type": "free", "damping": "0.0005"}  # as LIBERO gives it to all its objects
SITES = ("bottom_site", "top_site", "horizontal_radius_site")


@contextmanager
def known_objects(files: Mapping[str, Path]) -> Iterator[None]:
    """Within it LIBERO's parser finds an object of each category.

    Args:
        files: category -> MJCF with a body named "object".
    """
    from libero.libero.envs.base_object import OBJECTS_DICT

    OBJECTS_DICT.update({category: _object_class(category, file) for category, file in files.items()})
    try:
        yield
    finally:
        for category in files:
            del OBJECTS_DICT[category]


def _object_class(category: str, file: Path):
    from robosuite.models.objects import MujocoXMLObject

    class FileObject(MujocoXMLObject):
        def __init__(self, name: str) -> None:
            super().__init__(
                str(file), name, joints=[dict(FREE_JOINT)], obj_type="all", duplicate_collision_geoms=False
            )
            self.category_name = category
            self.rotation, self.rotation_axis = (0.0, 0.0), "z"
            self.object_properties = {"vis_site_names": {}}

        def _get_object_subtree(self) -> ET.Element:
            _hold_object(self.worldbody)
            return super()._get_object_subtree()

    return FileObject


def _hold_object(worldbody: ET.Element) -> None:
    """robosuite looks for "object" inside of a body that also holds the placement sites; some files have it outside."""
    outside = worldbody.find("./body[@name='object']")
    if outside is None:
        return
    holder = ET.SubElement(worldbody, "body")
    worldbody.remove(outside)
    holder.append(outside)
    for site in [site for parent in (worldbody, outside) for site in parent.findall("site")]:
        if site.get("name") in SITES:
            (worldbody if site in list(worldbody) else outside).remove(site)
            holder.append(site)
