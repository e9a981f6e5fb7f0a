"""A small MJCF writer: bodies out of primitive and generated shapes, materials, generated textures, joints and sites.

LIBERO loads one XML per asset through robosuite, which keeps geoms by group: group 0 collides and is not drawn,
group 1 is drawn and does not collide. `Body.contact` writes the first kind, `Body.visual` the second, `Body.solid` one
of each; only contacts carry mass. Lengths are metres, angles radians, quaternions (w, x, y, z), colours 0..1.
"""

from __future__ import annotations

import io
import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from substep_core import rotation

Vector = Sequence[float]
IDENTITY = (1.0, 0.0, 0.0, 0.0)
ORIGIN = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Contact:
    """Contact parameters of a geom; the defaults are the stiff, high-friction ones LIBERO gives all its objects.

    `solmix` is the weight of this geom's solref and solimp when it touches another one.
    """

    friction: Vector = (0.95, 0.3, 0.1)
    solref: Vector = (0.001, 1.0)
    solimp: Vector = (0.998, 0.998, 0.001)
    solmix: float = 1.0


STIFF = Contact()
# For groceries and the sides of dishes: some initial states put one a centimetre into another, and a slow contact with
# little friction parts the two without a kick. The gripper's and the table's own friction is higher and rules there.
YIELDING = Contact(friction=(0.3, 0.3, 0.1), solref=(0.02, 1.0), solmix=20.0)
SLIPPERY = Contact(friction=(0.3, 0.3, 0.1))
# For what things are put on: some of LIBERO's initial states begin up to 3 cm inside of it, and a stiff contact would
# throw them into the air. This one lifts them out within three control steps; its weight overrules the other geom's.
GENTLE = Contact(solref=(0.02, 1.0), solmix=1000.0)


@dataclass(frozen=True)
class Shape:
    """A MuJoCo primitive: its geom type and MuJoCo's own size numbers (half sizes, radius, half length)."""

    type: str
    size: Vector


@dataclass(frozen=True, eq=False)
class Mesh:
    """A triangle mesh: vertices (n, 3) in m, faces (m, 3), texture coordinates (n, 2) with v = 0 at the top."""

    vertices: np.ndarray
    faces: np.ndarray
    texcoords: np.ndarray | None = None


def box(x: float, y: float, z: float) -> Shape:
    """A box by its half sizes."""
    return Shape("box", (x, y, z))


def cylinder(radius: float, half_length: float) -> Shape:
    """A cylinder along its local z axis."""
    return Shape("cylinder", (radius, half_length))


def capsule(radius: float, half_length: float) -> Shape:
    """A capsule along its local z axis; the half length does not count the two half spheres."""
    return Shape("capsule", (radius, half_length))


def sphere(radius: float) -> Shape:
    """A sphere."""
    return Shape("sphere", (radius,))


def euler(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> tuple[float, float, float, float]:
    """Quaternion of a turn by x, then y, then z (radians) about the fixed axes."""
    quaternion = np.array(IDENTITY)
    for axis, angle in enumerate((x, y, z)):
        turn = np.zeros(4)
        turn[0], turn[1 + axis] = math.cos(angle / 2), math.sin(angle / 2)
        quaternion = np.array(compose(turn, quaternion))
    return tuple(float(value) for value in quaternion)


def compose(after: Vector, before: Vector) -> tuple[float, float, float, float]:
    """Quaternion of the turn `before` followed by the turn `after`."""
    a, b = np.asarray(after, dtype=float), np.asarray(before, dtype=float)
    vector = a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:])
    return (float(a[0] * b[0] - a[1:] @ b[1:]), *(float(value) for value in vector))


def rotate(quat: Vector, vector: Vector) -> tuple[float, float, float]:
    """A vector turned by a quaternion."""
    turned = rotation.rotate(np.roll(quat, -1), np.asarray(vector, dtype=float))
    return tuple(float(value) for value in turned)


def _text(values: float | Vector | np.ndarray) -> str:
    return " ".join(f"{value:.6g}" for value in np.ravel(values))


@dataclass
class Model:
    """One asset file under construction: `object()` is the body that robosuite looks for.

    Attributes:
        name: prefix of the file's textures, materials and meshes.
        origin: position of the "object" body (m); LIBERO's sites below stand outside it and do not move along.
    """

    name: str
    origin: Vector = ORIGIN

    def __post_init__(self) -> None:
        self.xml = ET.Element("mujoco", model=self.name)
        ET.SubElement(self.xml, "compiler", angle="radian", autolimits="true")
        self.asset = ET.SubElement(self.xml, "asset")
        self.worldbody = ET.SubElement(self.xml, "worldbody")
        self._images: dict[str, bytes] = {}
        self._meshes: dict[Mesh, str] = {}
        self._holder: ET.Element | None = None

    @property
    def holder(self) -> ET.Element:
        """The outer, nameless body that holds "object" and the placement sites (objects only, not arenas)."""
        if self._holder is None:
            self._holder = ET.SubElement(self.worldbody, "body")
        return self._holder

    def object(self) -> Body:
        """The body named "object", made on first use."""
        found = self.holder.find("body[@name='object']")
        if found is None:
            found = ET.SubElement(self.holder, "body", name="object", pos=_text(self.origin))
        return Body(self, found)

    def world(self) -> Body:
        """The world body, for arenas."""
        return Body(self, self.worldbody)

    def placement_sites(self, bottom: float, top: float, radius: float) -> None:
        """The three sites LIBERO places objects by: lowest and highest z and the horizontal radius (m)."""
        places = {"bottom": (0, 0, bottom), "top": (0, 0, top), "horizontal_radius": (radius, radius, 0)}
        for name, position in places.items():
            Body(self, self.holder).site(f"{name}_site", position)

    def material(
        self,
        name: str,
        color: Vector = (1.0, 1.0, 1.0),
        texture: Image.Image | None = None,
        repeat: tuple[float, float] = (1.0, 1.0),
        texuniform: bool = False,
        specular: float = 0.2,
        shininess: float = 0.3,
        reflectance: float = 0.0,
        emission: float = 0.0,
    ) -> str:
        """Adds a material, with `texture` written as a PNG beside the XML, and returns its full name.

        A 2d texture on a primitive is projected along the geom's z; `repeat` counts per geom, or per metre with
        `texuniform`. Meshes use their own texture coordinates.
        """
        full = f"{self.name}_{name}"
        attributes = {
            "name": full,
            "rgba": _text(tuple(color) + (1.0,) * (4 - len(color))),
            "specular": _text(specular),
            "shininess": _text(shininess),
            "reflectance": _text(reflectance),
            "emission": _text(emission),
        }
        if texture is not None:
            file = f"{name}.png"
            self._images[file] = png(texture)
            ET.SubElement(self.asset, "texture", name=f"tex-{full}", type="2d", file=file)
            attributes |= {"texture": f"tex-{full}", "texrepeat": _text(repeat)}
            attributes["texuniform"] = str(texuniform).lower()
        ET.SubElement(self.asset, "material", attributes)
        return full

    def mesh(self, mesh: Mesh) -> str:
        """Adds a mesh once and returns its name; the shell inertia lets open surfaces compile."""
        if mesh not in self._meshes:
            name = f"{self.name}_mesh{len(self._meshes)}"
            attributes = {"name": name, "inertia": "shell", "vertex": _text(mesh.vertices)}
            attributes["face"] = " ".join(str(int(index)) for index in np.ravel(mesh.faces))
            if mesh.texcoords is not None:
                attributes["texcoord"] = _text(mesh.texcoords)
            ET.SubElement(self.asset, "mesh", attributes)
            self._meshes[mesh] = name
        return self._meshes[mesh]

    def files(self, xml_name: str | None = None) -> Mapping[str, bytes]:
        """The finished asset: file name -> content, the XML first and its textures beside it."""
        ET.indent(self.xml)
        return {xml_name or f"{self.name}.xml": ET.tostring(self.xml)} | self._images


@dataclass(frozen=True)
class Body:
    """A body (or the world) of a model; every method adds one element and returns what it added."""

    model: Model
    xml: ET.Element

    def body(self, name: str, pos: Vector = ORIGIN, quat: Vector = IDENTITY) -> Body:
        """A child body."""
        return Body(self.model, ET.SubElement(self.xml, "body", name=name, pos=_text(pos), quat=_text(quat)))

    def contact(
        self,
        shape: Shape | Mesh,
        pos: Vector = ORIGIN,
        quat: Vector = IDENTITY,
        *,
        density: float = 100.0,
        mass: float | None = None,
        contact: Contact = STIFF,
        name: str | None = None,
    ) -> ET.Element:
        """A colliding geom that is not drawn. `mass` (kg) goes before `density` (kg/m3)."""
        extra = {"density": _text(density)} if mass is None else {"mass": _text(mass)}
        for key in ("friction", "solref", "solimp", "solmix"):
            extra[key] = _text(getattr(contact, key))
        return self._geom(shape, pos, quat, name, group="0", rgba="0.8 0.8 0.8 0.3", **extra)

    def visual(
        self,
        shape: Shape | Mesh,
        look: str | Vector,
        pos: Vector = ORIGIN,
        quat: Vector = IDENTITY,
        *,
        name: str | None = None,
    ) -> ET.Element:
        """A drawn geom without contact or mass; `look` is a material's name or a colour."""
        style = {"material": look} if isinstance(look, str) else {"rgba": _text(tuple(look) + (1.0,) * (4 - len(look)))}
        return self._geom(shape, pos, quat, name, group="1", contype="0", conaffinity="0", mass="0", **style)

    def solid(
        self,
        shape: Shape | Mesh,
        look: str | Vector,
        pos: Vector = ORIGIN,
        quat: Vector = IDENTITY,
        *,
        density: float = 100.0,
        mass: float | None = None,
        contact: Contact = STIFF,
    ) -> None:
        """A contact geom and a drawn one of the same shape."""
        self.contact(shape, pos, quat, density=density, mass=mass, contact=contact)
        self.visual(shape, look, pos, quat)

    def site(
        self,
        name: str,
        pos: Vector = ORIGIN,
        quat: Vector = IDENTITY,
        shape: Shape | None = None,
        rgba: Vector = (0.0, 0.0, 0.0, 0.0),
    ) -> ET.Element:
        """A site, invisible by default; a region for LIBERO's predicates when it has a box shape."""
        shape = shape or sphere(0.005)
        attributes = {"name": name, "type": shape.type, "pos": _text(pos), "quat": _text(quat)}
        return ET.SubElement(self.xml, "site", attributes, size=_text(shape.size), rgba=_text(rgba), group="0")

    def joint(self, name: str, type: str, axis: Vector, range: tuple[float, float], **attributes: float) -> ET.Element:
        """A hinge (rad) or slide (m) joint; further MJCF attributes (damping, frictionloss, …) by keyword."""
        given = {key: _text(value) for key, value in attributes.items()}
        return ET.SubElement(
            self.xml, "joint", given, name=name, type=type, axis=_text(axis), range=_text(range), limited="true"
        )

    def _geom(self, shape: Shape | Mesh, pos: Vector, quat: Vector, name: str | None, **attributes: str) -> ET.Element:
        if isinstance(shape, Mesh):
            attributes |= {"type": "mesh", "mesh": self.model.mesh(shape)}
        else:
            attributes |= {"type": shape.type, "size": _text(shape.size)}
        if name is not None:
            attributes["name"] = name
        return ET.SubElement(self.xml, "geom", attributes, pos=_text(pos), quat=_text(quat))


def png(image: Image.Image) -> bytes:
    """The image as the content of a PNG file."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
