"""Small files of microscopes, of pixels (scenes, T, C, Z, Y, X) of 16 bit, as their makers' formats hold them.

CZI is written by pylibCZIrw and OME-Zarr by ome-zarr. Nobody writes ND2, LIF and OIF but their makers: these here are
the least that the libraries that read them ask for, after the layout that those document.
"""

import io
import struct
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
import ome_zarr.writer
import tifffile
import zarr
from pylibCZIrw import czi

SPACING = (2.0, 0.5, 0.5)
CHANNELS = ("DAPI", "GFP", "Cy5")
GAP = 1000  # pixels between the scenes of a CZI


def drawn(scenes: int = 1, times: int = 1, channels: int = 1, depth: int = 1, seed: int = 0) -> np.ndarray:
    shape = (scenes, times, channels, depth, 24, 40)
    return np.random.default_rng(seed).integers(0, 4096, shape).astype(np.uint16)


def write_czi(path: Path, pixels: np.ndarray, *, spacing=SPACING, compression: str = "uncompressed:") -> None:
    scenes, times, channels, depth = pixels.shape[:4]
    with czi.create_czi(str(path), compression_options=compression) as document:
        for scene, time, channel, z in np.ndindex(scenes, times, channels, depth):
            document.write(
                pixels[scene, time, channel, z],
                plane={"T": time, "C": channel, "Z": z},
                location=(scene * GAP, 0),
                **({"scene": scene} if scenes > 1 else {}),
            )
        size = {f"scale_{axis}": um * 1e-6 for axis, um in zip("zyx", spacing or (), strict=False)}
        document.write_metadata("a", channel_names=dict(enumerate(CHANNELS[:channels])), **size)


def write_mosaic(path: Path, pixels: np.ndarray, tile: tuple[int, int] = (24, 40), **options) -> None:
    """Tiles of a picture, with one in the middle that nobody took, which is white in a slide."""
    height, width = tile
    with czi.create_czi(str(path), **options) as document:
        for top, left in np.ndindex(pixels.shape[0] // height, pixels.shape[1] // width):
            if (top, left) != (1, 1):
                part = pixels[top * height : (top + 1) * height, left * width : (left + 1) * width]
                document.write(np.ascontiguousarray(part), location=(left * width - 70, top * height - 30))
        document.write_metadata("a", scale_x=0.5e-6, scale_y=0.5e-6)
    pixels[height : 2 * height, width : 2 * width] = 255 if pixels.ndim == 3 else 0


def write_zarr(path: Path, pixels: np.ndarray, *, spacing=SPACING) -> None:
    about = [{"name": name, "type": kind} for name, kind in (("t", "time"), ("c", "channel"))]
    about += [{"name": axis, "type": "space", **({"unit": "micrometer"} if spacing else {})} for axis in "zyx"]
    scale = dict(zip("tczyx", (1.0, 1.0, *(spacing or (1.0, 1.0, 1.0))), strict=True))
    root = zarr.open_group(path, mode="w")
    for number, scene in enumerate(pixels):
        group = root.create_group(str(number)) if len(pixels) > 1 else root
        ome_zarr.writer.write_multiscale([scene], group, axes=about, scale=scale)
        about_channels = [
            {"label": name, "color": "FFFFFF", "window": {"start": 0, "end": 1, "min": 0, "max": 1}}
            for name in CHANNELS[: scene.shape[1]]
        ]
        group.attrs["ome"] = {**group.attrs["ome"], "omero": {"channels": about_channels}}


def write_lif(path: Path, pixels: np.ndarray, *, spacing=SPACING) -> None:
    elements, blocks = [], []
    for number, scene in enumerate(pixels):
        elements.append(_lif_element(number, scene, spacing))
        name = f"MemBlock_{number}".encode("utf-16-le")
        head = struct.pack("<BQBI", 0x2A, scene.nbytes, 0x2A, len(name) // 2) + name
        blocks.append(struct.pack("<II", 0x70, len(head)) + head + scene.astype("<u2").tobytes())
    children = "".join(elements)
    xml = (
        '<LMSDataContainerHeader Version="2"><Element Name="project" Visibility="1"><Data><Experiment/></Data>'
        f'<Memory Size="0" MemoryBlockID="MemBlock_x"/><Children>{children}</Children></Element>'
        "</LMSDataContainerHeader>"
    ).encode("utf-16-le")
    path.write_bytes(struct.pack("<IIBI", 0x70, len(xml) + 5, 0x2A, len(xml) // 2) + xml + b"".join(blocks))


def _lif_element(number: int, scene: np.ndarray, spacing) -> str:
    dimensions, channels = "", ""
    steps = {axis: um * 1e-6 for axis, um in zip("ZYX", spacing or (0, 0, 0), strict=True)} | {"T": 1.0}
    for axis, code, at in (("T", 4, 0), ("Z", 3, 2), ("Y", 2, 3), ("X", 1, 4)):
        dimensions += (
            f'<DimensionDescription DimID="{code}" NumberOfElements="{scene.shape[at]}" Origin="0" '
            f'Length="{steps[axis] * (scene.shape[at] - 1)}" Unit="{"s" if axis == "T" else "m"}" BitInc="0" '
            f'BytesInc="{scene.strides[at]}"/>'
        )
    for channel in range(scene.shape[1]):
        channels += (
            f'<ChannelDescription DataType="0" ChannelTag="0" Resolution="16" NameOfMeasuredQuantity="" Min="0" '
            f'Max="65535" Unit="" LUTName="Gray" IsLUTInverted="0" BytesInc="{channel * scene.strides[1]}" BitInc="0">'
            f"<ChannelProperty><Key>DyeName</Key><Value>{CHANNELS[channel]}</Value></ChannelProperty>"
            "</ChannelDescription>"
        )
    return (
        f'<Element Name="Series{number}" Visibility="1"><Data><Image TextDescription=""><ImageDescription><Channels>'
        f"{channels}</Channels><Dimensions>{dimensions}</Dimensions></ImageDescription></Image></Data>"
        f'<Memory Size="{scene.nbytes}" MemoryBlockID="MemBlock_{number}"/><Children/></Element>'
    )


def write_nd2(path: Path, pixels: np.ndarray, *, spacing=SPACING) -> None:
    scenes, times, channels, depth, height, width = pixels.shape
    depth_um, _, width_um = spacing or (1.0, 0.0, 0.0)
    attributes = _tags(
        uiWidth=width,
        uiWidthBytes=width * channels * 2,
        uiHeight=height,
        uiComp=channels,
        uiBpcInMemory=16,
        uiBpcSignificant=12,
        uiSequenceCount=scenes * times * depth,
        eCompression=2,
    )
    planes = "".join(
        f"<a{number}>{_tags(sDescription=CHANNELS[number], uiCompCount=1)}<pFluorescentProbe>{_tags(m_sName='dye')}"
        f"</pFluorescentProbe></a{number}>"
        for number in range(channels)
    )
    sequence = (
        _tags(bCalibrated=bool(spacing), dCalibration=width_um)
        + f"<sPicturePlanes>{_tags(uiCount=channels)}<sPlane>{planes}</sPlane></sPicturePlanes>"
    )
    points = "".join(f"<p{number}>{_tags(dPosX=0.0, pPosName=f'P{number}')}</p{number}>" for number in range(scenes))
    loops = [(1, times, _tags(uiCount=times, dStart=0.0, dPeriod=1.0, dDuration=1.0))] if times > 1 else []
    loops += [(2, scenes, f"{_tags(uiCount=scenes)}<Points>{points}</Points>")] if scenes > 1 else []
    loops += [(4, depth, _tags(uiCount=depth, dZStep=depth_um))] if depth > 1 else []
    experiment = ""
    for code, count, parameters in reversed(loops):
        valid = "".join(f'<v{n} runtype="bool" value="true"/>' for n in range(count))
        below = f"<ppNextLevelEx><below>{experiment}</below></ppNextLevelEx>" if experiment else ""
        experiment = f"{_tags(eType=code)}<uLoopPars>{parameters}</uLoopPars><pItemValid>{valid}</pItemValid>{below}"
    chunks = {"ImageAttributes!": attributes, "ImageMetadataSeq|0!": sequence, "ImageMetadata!": experiment}
    content, places = _nd2_chunk(b"ND2 FILE SIGNATURE CHUNK NAME01!", b"Ver2.0".ljust(64, b"\0")), {}
    for name, xml in chunks.items():
        places[name] = (len(content), len(xml))
        content += _nd2_chunk(name.encode(), f"<variant><no_name>{xml}</no_name></variant>".encode())
    frames = pixels.transpose(1, 0, 3, 4, 5, 2).reshape(-1, height, width, channels)
    for number, frame in enumerate(frames):
        places[f"ImageDataSeq|{number}!"] = (len(content), frame.nbytes + 8)
        content += _nd2_chunk(f"ImageDataSeq|{number}!".encode().ljust(4072, b"\0"), bytes(8) + frame.tobytes())
    listed = b"".join(name.encode() + struct.pack("QQ", *place) for name, place in places.items())
    signature = b"ND2 CHUNK MAP SIGNATURE 0000001!"
    end = signature + struct.pack("Q", len(content))
    content += _nd2_chunk(b"ND2 FILEMAP SIGNATURE NAME 0001!", listed + end)
    path.write_bytes(content)


def _nd2_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack("<IIQ", 0x0ABECEDA, len(name), len(data)) + name + data


def _tags(**values) -> str:
    kinds = {bool: "bool", int: "lx_uint32", float: "double", str: "CLxStringW"}
    return "".join(
        f'<{name} runtype="{kinds[type(value)]}" value={quoteattr(str(value))}/>' for name, value in values.items()
    )


def write_oif(path: Path, pixels: np.ndarray, *, spacing=SPACING) -> None:
    """Of one scene."""
    folder = path.with_name(f"{path.name}.files")
    folder.mkdir()
    for name, content in _oif_planes(pixels).items():
        (folder / name).write_bytes(content)
    path.write_bytes(_oif_settings(pixels, spacing))


def write_oib(path: Path, pixels: np.ndarray, *, spacing=SPACING) -> None:
    """The same in one file."""
    streams = {"Stream00000": _oif_settings(pixels, spacing)}
    told = {"Stream00000": "a.oif"}
    for number, (name, content) in enumerate(_oif_planes(pixels).items(), start=1):
        streams[f"Stream{number:05d}"], told[f"Stream{number:05d}"] = content, name
    about = {"Name": "a.oib", "Version": "2.0.0.0", "MainFileName": "Stream00000", **told}
    lines = ["[OibSaveInfo]", *(f"{key}={value}" for key, value in about.items()), ""]
    path.write_bytes(_compound({"OibInfo.txt": "\r\n".join(lines).encode("utf-16"), **streams}))


def _oif_planes(pixels: np.ndarray) -> dict[str, bytes]:
    (scene,) = pixels
    planes = {}
    for time, channel, z in np.ndindex(scene.shape[:3]):
        stream = io.BytesIO()
        tifffile.imwrite(stream, scene[time, channel, z], photometric="minisblack", metadata=None)
        planes[f"s_C{channel + 1:03d}Z{z + 1:03d}T{time + 1:03d}.tif"] = stream.getvalue()
    return planes


def _oif_settings(pixels: np.ndarray, spacing) -> bytes:
    depth_um, height_um, width_um = spacing or (0.0, 0.0, 0.0)
    sections = {
        "ProfileSaveInfo": {"Name": "'a'", "Version": "'1.0'"},
        "Reference Image Parameter": {
            "WidthConvertValue": width_um,
            "WidthUnit": "'um'",
            "HeightConvertValue": height_um,
            "HeightUnit": "'um'",
        },
        "Axis 3 Parameters Common": {"AxisCode": "'Z'", "Interval": depth_um * 1000, "UnitName": "'nm'"},
    }
    sections |= {
        f"GUI Channel {number + 1} Parameters": {"DyeName": f"'{name}'"}
        for number, name in enumerate(CHANNELS[: pixels.shape[2]])
    }
    lines = [
        line
        for name, values in sections.items()
        for line in (f"[{name}]", *(f"{key}={value}" for key, value in values.items()))
    ]
    return "\r\n".join(["[FileInformaiton]", *lines, ""]).encode("utf-16")


def _compound(streams: dict[str, bytes], sector: int = 512) -> bytes:
    """A compound file (MS-CFB, version 3) of large streams, which small ones are padded to, in one storage."""
    free, end, fat = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
    content, chain, entries = b"", [], []

    def append(data: bytes) -> int:
        nonlocal content
        start, count = len(content) // sector, -(-len(data) // sector)
        content += data.ljust(count * sector, b"\0")
        chain.extend([*range(start + 1, start + count), end])
        return start

    def entry(name: str, kind: int, right: int, child: int, start: int, size: int) -> bytes:
        encoded = (name + "\0").encode("utf-16-le")
        return struct.pack(
            "<64sHBBIII16sIQQIQ", encoded, len(encoded), kind, 1, free, right, child, bytes(16), 0, 0, 0, start, size
        )

    for number, (name, data) in enumerate(streams.items(), start=1):
        data = data.ljust(4096, b"\0")
        right = number + 1 if number < len(streams) else free
        entries.append(entry(name, 2, right, free, append(data), len(data)))
    folder = append(b"".join([entry("Root Entry", 5, free, 1, end, 0), *entries]))
    num_tables = 1
    while num_tables * sector // 4 < len(chain) + num_tables:
        num_tables += 1
    places = range(len(chain), len(chain) + num_tables)
    chain += [fat] * num_tables
    table = np.array(chain + [free] * (num_tables * sector // 4 - len(chain)), "<u4").tobytes()
    head = struct.pack(
        "<8s16sHHHHHHIIIIIIIIII", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", bytes(16), 0x3E, 3, 0xFFFE, 9, 6, 0, 0,
        0, num_tables, folder, 0, 4096, end, 0, end, 0,
    )  # fmt: skip
    listed = [*places, *[free] * (109 - num_tables)]
    return head + np.array(listed, "<u4").tobytes() + content + table


def write_lsm(path: Path, pixels: np.ndarray, *, spacing=SPACING, photometric: str = "minisblack") -> None:
    """Of one scene and one time point: planes of all channels, each followed by a smaller picture of it."""
    ((planes,),) = pixels
    channels, depth, height, width = planes.shape
    names = b"".join(struct.pack("<I", len(name) + 1) + name.encode() + b"\0" for name in CHANNELS[:channels])
    colours = struct.pack("<IIIIII", 24 + 4 * channels + len(names), channels, channels, 24, 24 + 4 * channels, 0)
    colours += bytes(4 * channels) + names

    def about(where: int) -> bytes:
        told = struct.pack("<IiiiiiiiII", 50350412, 108 + 4, width, height, depth, channels, 1, 2, 8, 8)
        told += struct.pack("<6d", *(um * 1e-6 for um in (spacing or (0, 0, 0))[::-1]), 0, 0, 0)
        return told + struct.pack("<HHIIIII", 0, 0, 0, 0, 0, 0, where)

    def write(where: int) -> None:
        with tifffile.TiffWriter(path, byteorder="<") as writer:
            for z in range(depth):
                tag = [(34412, 1, len(about(where)), about(where), True)] if z == 0 else []
                plane, separate = planes[:, z], {"planarconfig": "separate"} if channels > 1 else {}
                common = {"photometric": photometric, "metadata": None, "contiguous": False, **separate}
                writer.write(plane if channels > 1 else plane[0], extratags=tag, **common)
                small = np.zeros((channels, 8, 8), np.uint8)
                writer.write(small if channels > 1 else small[0], subfiletype=1, **common)

    write(0)
    write(path.stat().st_size)
    with path.open("ab") as file:
        file.write(colours)


def write_stk(path: Path, volume: np.ndarray, *, spacing=SPACING) -> None:
    """MetaMorph's: planes one behind the other, of which the only page tells the first; and what is known of them."""
    depth, height, width = volume.shape
    step, *size = (struct.pack("<II", round(1000 * um), 1000) for um in spacing)
    start, settings = 8, 8 + volume.nbytes
    found = struct.pack("<8I", 4, settings + 32, 5, settings + 40, 6, settings + 48, 11, 1)
    found += size[1] + size[0] + struct.pack("<I4s", 3, b"um\0")
    planes, page = settings + len(found), settings + len(found) + 24 * depth
    tags = [
        (256, 3, 1, width),
        (257, 3, 1, height),
        (258, 3, 1, 16),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, start),
    ]
    tags += [(277, 3, 1, 1), (278, 3, 1, height), (279, 4, 1, volume[0].nbytes)]
    tags += [(33628, 4, 4, settings), (33629, 5, depth, planes)]
    content = struct.pack("<2sHI", b"II", 42, page) + volume.tobytes() + found
    content += b"".join(step + struct.pack("<4I", 2450000, z, 2450000, z) for z in range(depth))
    content += struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    path.write_bytes(content)


def write_ome_tiff(path: Path, pixels: np.ndarray, *, spacing=SPACING) -> None:
    names = list(CHANNELS[: pixels.shape[2]])
    with tifffile.TiffWriter(path, ome=True) as writer:
        for number, scene in enumerate(pixels):
            about = {"axes": "TCZYX", "Channel": {"Name": names}, "Name": f"P{number}"}
            for axis, size in zip("ZYX", spacing or (), strict=False):
                about |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "µm"}
            writer.write(scene, photometric="minisblack", metadata=about)


WRITERS = {
    "a.czi": write_czi,
    "a.zarr": write_zarr,
    "a.lif": write_lif,
    "a.nd2": write_nd2,
    "a.oif": write_oif,
    "a.oib": write_oib,
    "a.ome.tif": write_ome_tiff,
}
