"""Command line, environment and image path from process environment blocks, in both layouts and for WoW64."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dumpscan.memory.windows.peb import (
    POINTER32,
    POINTER64,
    ProcessBlock,
    ProcessParameters,
    find_process_blocks,
    read_process_parameters,
)
from dumpscan.model.c_process import c_process

TEB, PEB, PARAMETERS = 0x7FF0000, 0x7FE0000, 0x250000
TEB32, PEB32, PARAMETERS32 = TEB + 0x2000, 0x7FD0000, 0x270000
ENTRIES = ("=C:=C:\\Windows", "=ExitCode=00000000", "NAME=value", "EMPTY=", "LONE=\ud800x\udc00", "\u00e4=\U0001f510")

String = Any  # a structure of dissect.cstruct, which has no type hints


def encode(text: str) -> bytes:
    return text.encode("utf-16-le", "surrogatepass")


def block(entries: tuple[str, ...]) -> bytes:
    return encode("".join(f"{entry}\0" for entry in entries) + "\0")


@dataclass
class FakeMemory:
    """Bytes at addresses; neighbours are read across, as in a dump."""

    pointer_size: int = POINTER64
    parts: dict[int, bytes] = field(default_factory=dict)
    largest: int = 0

    def read(self, address: int, size: int) -> bytes:
        self.largest = max(self.largest, size)
        found = b""
        while len(found) < size:
            part = next((part for part in self.parts.items() if part[0] <= address < part[0] + len(part[1])), None)
            if part is None:
                break
            here = part[1][address - part[0] :][: size - len(found)]
            found += here
            address += len(here)
        return found


@dataclass
class Made:
    """A process in memory, with one block or both; change its structures, then ask for the memory."""

    bits: int = 64
    command_line: str = '"C:\\dir\\a.exe" -x \ud800'
    image_path: str = "C:\\dir\\a.exe"
    environment: bytes = field(default_factory=lambda: block(ENTRIES))
    teb_address: int = TEB
    peb_address: int = PEB
    parameters_address: int = PARAMETERS

    def __post_init__(self) -> None:
        bits, at = self.bits, self.parameters_address
        self.teb = getattr(c_process, f"TEB{bits}")(
            Self=self.teb_address, ProcessEnvironmentBlock=self.peb_address, UniqueProcess=0x1234, UniqueThread=0x5678
        )
        self.peb = getattr(c_process, f"PEB{bits}")(ProcessParameters=at, ImageBaseAddress=0x400000, SessionId=3)
        strings = encode(self.image_path), encode(self.command_line)
        self.parameters = getattr(c_process, f"RTL_USER_PROCESS_PARAMETERS{bits}")(
            Flags=1,
            ImagePathName=self.string(strings[0], at + 0x1000),
            CommandLine=self.string(strings[1], at + 0x2000),
            Environment=at + 0x10000,
            EnvironmentSize=len(self.environment),
        )
        self.strings = {at + 0x1000: strings[0], at + 0x2000: strings[1], at + 0x10000: self.environment}

    def string(self, data: bytes, address: int) -> String:
        kind = getattr(c_process, f"UNICODE_STRING{self.bits}")
        return kind(Length=len(data), MaximumLength=len(data), Buffer=address)

    @property
    def parts(self) -> dict[int, bytes]:
        return {
            self.teb_address: self.teb.dumps(),
            self.peb_address: self.peb.dumps(),
            self.parameters_address: self.parameters.dumps(),
        } | {address: data for address, data in self.strings.items() if data}

    @property
    def memory(self) -> FakeMemory:
        return FakeMemory(self.bits // 8, self.parts)

    def read(self) -> ProcessParameters:
        return read_process_parameters(self.memory, self.peb_address, self.bits // 8)


class TestWhole:
    @pytest.mark.parametrize("bits", [32, 64])
    def test_everything_is_read(self, bits: int) -> None:
        made = Made(bits)
        (found,) = find_process_blocks(made.memory, [0, 0x1234, TEB])
        assert found == ProcessBlock(PEB, bits // 8, 0x1234, None if bits == 64 else False)
        assert made.read() == ProcessParameters(
            executable=made.image_path,
            command_line=made.command_line,
            environment=ENTRIES,
            session=3,
            image_base=0x400000,
            notes=(),
        )

    @pytest.mark.parametrize("cut", [2, 7, 100])
    def test_an_environment_across_ranges(self, cut: int) -> None:
        made = Made()
        at = PARAMETERS + 0x10000
        made.strings[at], made.strings[at + cut] = made.environment[:cut], made.environment[cut:]
        assert made.read().environment == ENTRIES
        assert made.read().notes == ()

    def test_an_environment_of_more_than_the_first_piece(self) -> None:
        entries = tuple(f"NAME{number}={'x' * 500}" for number in range(1000))
        made = Made(environment=block(entries))
        made.parameters.EnvironmentSize = 0
        assert made.read().environment == entries
        assert made.read().notes == ()

    @pytest.mark.parametrize("data", [bytes(2), bytes(4), bytes(100)])
    def test_an_empty_environment(self, data: bytes) -> None:
        made = Made(environment=data)
        assert (made.read().environment, made.read().notes) == ((), ())

    def test_an_empty_command_line(self) -> None:
        made = Made(command_line="")
        assert (made.read().command_line, made.read().notes) == ("", ())

    def test_relative_pointers_before_the_first_instruction(self) -> None:
        made = Made()
        made.parameters.Flags = 0
        made.parameters.CommandLine.Buffer -= PARAMETERS
        assert made.read().command_line == made.command_line
        assert made.read().environment == ENTRIES

    @given(st.lists(st.text(st.characters(blacklist_characters="\0"), min_size=1), max_size=20), st.text())
    def test_any_text(self, entries: list[str], command_line: str) -> None:
        made = Made(command_line=command_line, environment=block(tuple(entries)))
        assert made.read().environment == tuple(entries)
        assert made.read().command_line == command_line
        assert made.read().notes == ()


class TestWow64:
    def made(self) -> tuple[Made, Made]:
        native = Made(64, command_line="64", environment=block(("BITS=64",)))
        other = Made(32, "32", "C:\\32.exe", block(("BITS=32",)), TEB32, PEB32, PARAMETERS32)
        other.teb.WOW32Reserved = 0x77001000
        return native, other

    @pytest.mark.parametrize("distance", [0x2000, 0x7000])
    def test_the_64_bit_block_comes_first(self, distance: int) -> None:
        native, other = self.made()
        other.teb_address = other.teb.Self = TEB + distance
        native.teb.ExceptionList = TEB + distance if distance != 0x2000 else 0
        memory = FakeMemory(POINTER64, native.parts | other.parts)
        first, second = find_process_blocks(memory, [TEB])
        assert (first.peb, first.pointer_size, first.wow64) == (PEB, POINTER64, None)
        assert (second.peb, second.pointer_size, second.wow64) == (PEB32, POINTER32, True)

    def test_the_32_bit_block_stands_in_for_a_missing_one(self) -> None:
        native, other = self.made()
        memory = FakeMemory(POINTER64, native.parts | other.parts)
        del memory.parts[PARAMETERS]
        first, second = (
            read_process_parameters(memory, found.peb, found.pointer_size)
            for found in find_process_blocks(memory, [TEB])
        )
        both = first.completed_by(second)
        assert (both.command_line, both.environment, both.session) == ("32", ("BITS=32",), 3)
        assert both.notes == (f"the dump does not hold the process parameters at {PARAMETERS:#x}",)

    def test_a_whole_block_gets_only_what_the_other_says_otherwise(self) -> None:
        native, other = self.made()
        whole = native.read()
        assert whole.completed_by(other.read()) == replace(
            whole, command_line_32="32", environment=("BITS=64", "BITS=32")
        )
        assert whole.completed_by(whole) == whole

    def test_room_for_a_32_bit_block_is_none(self) -> None:
        """Wine lays out a 32-bit thread block beside every 64-bit one, empty but for two addresses."""
        native, other = self.made()
        other.teb = c_process.TEB32(Self=TEB32, ProcessEnvironmentBlock=PEB32)
        other.peb = c_process.PEB32()
        memory = FakeMemory(POINTER64, native.parts | other.parts)
        assert [found.peb for found in find_process_blocks(memory, [TEB])] == [PEB]

    def test_a_32_bit_dump_of_a_wow64_process(self) -> None:
        _, other = self.made()
        (found,) = find_process_blocks(other.memory, [TEB32])
        assert (found.peb, found.wow64) == (PEB32, True)


class TestFinding:
    def test_a_thread_block_without_its_own_address(self) -> None:
        made = Made()
        made.teb.Self = 0
        assert [found.peb for found in find_process_blocks(made.memory, [TEB])] == [PEB]

    def test_neither_its_own_address_nor_anything_behind_it(self) -> None:
        made = Made()
        made.teb.Self = 0
        made.parameters.CommandLine.Length = 0xFFFF
        assert find_process_blocks(made.memory, [TEB]) == []

    def test_the_first_thread_that_leads_somewhere(self) -> None:
        made = Made()
        lost = c_process.TEB64(Self=0x6000000, ProcessEnvironmentBlock=0xDEAD0000).dumps()
        memory = FakeMemory(POINTER64, made.parts | {0x6000000: lost})
        assert [found.peb for found in find_process_blocks(memory, [1, 0x5000000, 0x6000000, TEB])] == [PEB]
        del memory.parts[TEB]
        assert [found.peb for found in find_process_blocks(memory, [0x6000000, TEB])] == [0xDEAD0000]

    def test_no_threads(self) -> None:
        assert find_process_blocks(FakeMemory(), []) == []

    def test_a_million_threads_that_lead_nowhere(self) -> None:
        reads = 0

        class Counting(FakeMemory):
            def read(self, address: int, size: int) -> bytes:
                nonlocal reads
                reads += 1
                return super().read(address, size)

        assert find_process_blocks(Counting(), range(0x10000, 1_000_000 + 0x10000)) == []
        assert reads < 100_000


class TestMissing:
    def test_the_block_itself(self) -> None:
        assert read_process_parameters(FakeMemory(), PEB, POINTER64) == ProcessParameters(
            notes=(f"the dump does not hold the process environment block at {PEB:#x}",)
        )

    def test_the_end_of_the_block(self) -> None:
        made = Made()
        memory = made.memory
        memory.parts[PEB] = memory.parts[PEB][:0x28]
        found = read_process_parameters(memory, PEB, POINTER64)
        assert (found.session, found.command_line, found.notes) == (None, made.command_line, ())

    @pytest.mark.parametrize(("offset", "what"), [(0x1000, "image path"), (0x2000, "command line")])
    def test_a_string(self, offset: int, what: str) -> None:
        made = Made()
        del made.strings[PARAMETERS + offset]
        found = made.read()
        assert found.notes == (f"the dump does not hold the {what} at {PARAMETERS + offset:#x}",)
        assert (found.executable is None, found.command_line is None) == (offset == 0x1000, offset == 0x2000)

    def test_the_end_of_a_string(self) -> None:
        made = Made(command_line="0123456789")
        made.strings[PARAMETERS + 0x2000] = encode("0123")
        assert made.read().command_line == "0123"
        assert made.read().notes == ("the command line is cut short: the dump holds 8 of 20 bytes",)

    def test_an_odd_length(self) -> None:
        made = Made(command_line="abc")
        made.parameters.CommandLine.Length = 5
        assert made.read().command_line == "ab"
        assert made.read().notes == ("the command line has an odd length of 5 bytes; the last one is dropped",)

    def test_no_pointers(self) -> None:
        made = Made()
        made.parameters.Environment = made.parameters.CommandLine.Buffer = 0
        assert (made.read().environment, made.read().command_line) == (None, None)
        assert made.read().notes == ("the process has no command line", "the process has no environment")

    def test_the_environment(self) -> None:
        made = Made(environment=b"")
        assert made.read().environment is None
        assert made.read().notes == (f"the dump does not hold the environment at {PARAMETERS + 0x10000:#x}",)

    def test_the_end_of_the_environment(self) -> None:
        made = Made(environment=encode("ONE=1\0TWO=2\0THR"))
        made.parameters.EnvironmentSize = 0x10000
        assert made.read().environment == ("ONE=1", "TWO=2", "THR")
        assert made.read().notes == ("the environment is cut short: the dump holds its first 30 bytes",)

    def test_the_end_mark_of_the_environment(self) -> None:
        made = Made(environment=encode("ONE=1\0TWO=2\0other memory"))
        made.parameters.EnvironmentSize = len(encode("ONE=1\0TWO=2\0"))
        assert made.read().environment == ("ONE=1", "TWO=2")
        assert made.read().notes == ("the environment has no end mark in its 24 bytes",)


class TestHostile:
    @pytest.mark.parametrize("text", ["endless", "x=\0"])
    def test_an_environment_of_200_megabytes_without_an_end(self, text: str) -> None:
        class Endless(FakeMemory):
            def read(self, address: int, size: int) -> bytes:
                data = super().read(address, size)
                if data or not PARAMETERS + 0x10000 <= address < PARAMETERS + 0x10000 + (200 << 20):
                    return data
                self.largest = max(self.largest, size)
                unit = encode(text)
                return (unit * (size // len(unit) + 1))[:size]

        made = Made(environment=b"")
        memory = Endless(POINTER64, made.parts)
        found = read_process_parameters(memory, PEB, POINTER64)
        assert memory.largest == 16 << 20
        assert found.environment is not None
        assert 0 < len(found.environment) <= 1 << 16
        assert "the environment has no end within 16 MiB and is cut there" in found.notes

    @pytest.mark.parametrize("bits", [32, 64])
    def test_pointers_in_a_circle(self, bits: int) -> None:
        made = Made(bits)
        made.teb.ProcessEnvironmentBlock = made.peb.ProcessParameters = TEB
        (found,) = find_process_blocks(made.memory, [TEB]) or [ProcessBlock(TEB, bits // 8, None)]
        read_process_parameters(made.memory, found.peb, found.pointer_size)

    @settings(max_examples=200, deadline=None)
    @given(
        st.sampled_from([32, 64]),
        st.lists(
            st.tuples(
                st.sampled_from([TEB, PEB, PARAMETERS]),
                st.integers(0, 0x400),
                st.sampled_from([0, 1, 0xFF, 0x7F, 0x20]) | st.integers(0, 255),
            ),
            max_size=20,
        ),
        st.integers(0, 0x600),
    )
    def test_any_change(self, bits: int, changes: list[tuple[int, int, int]], cut: int) -> None:
        memory = Made(bits).memory
        for where, offset, value in changes:
            part = bytearray(memory.parts[where])
            part[offset % len(part)] = value
            memory.parts[where] = bytes(part)
        memory.parts[PARAMETERS] = memory.parts[PARAMETERS][: cut or None]
        for pointer_size in (POINTER32, POINTER64):
            memory.pointer_size = pointer_size
            for found in find_process_blocks(memory, [TEB, PEB]):
                read_process_parameters(memory, found.peb, found.pointer_size)
            read_process_parameters(memory, PEB, pointer_size)

    @given(st.binary(max_size=2000), st.integers(0, 2**64 - 1))
    def test_noise(self, noise: bytes, address: int) -> None:
        memory = FakeMemory(POINTER64, {0x10000: noise})
        for found in find_process_blocks(memory, [address, 0x10000]):
            read_process_parameters(memory, found.peb, found.pointer_size)
        read_process_parameters(memory, 0x10000, POINTER64)
        read_process_parameters(memory, 0x10000, POINTER32)
