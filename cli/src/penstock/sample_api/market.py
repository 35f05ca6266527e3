"""Prices and valuations in both shapes of the provider: `v3` and `stable`."""

import csv
import io
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import orjson

Bar: TypeAlias = dict[str, Any]

_STABLE = ("date", "open", "high", "low", "close", "volume", "change", "changePercent", "vwap")
_PRICES = ("open", "high", "low", "close", "adjClose", "vwap", "change")
_VOLUMES = ("volume", "unadjustedVolume")


class Market:
    """The series of all tickers, newest bar first."""

    def __init__(self, series: dict[str, list[Bar]]) -> None:
        self._series = dict(sorted(series.items()))

    @classmethod
    def load(cls, folder: Path) -> "Market":
        """Read `fmp_v3/*.json` and, where present, the corrupt delivery."""
        series: dict[str, list[Bar]] = {}
        for file in sorted((folder / "fmp_v3").glob("*.json")):
            document = orjson.loads(file.read_bytes())
            series[document["symbol"]] = document["historical"]
        for file in sorted((folder / "corrupt_same_series_every_ticker").glob("*.csv")):
            series[file.name.partition("_")[0]] = list(_bars(file.read_text("utf-8")))
        return cls(series)

    @property
    def symbols(self) -> Sequence[str]:
        """All tickers, in order."""
        return list(self._series)

    def bars(
        self,
        symbol: str,
        *,
        start: str = "",
        end: str = "9999",
        same_series: bool = False,
        split: float = 1.0,
    ) -> list[Bar]:
        """Return a ticker's bars between two days, both included; none if it is unknown."""
        if symbol not in self._series:
            return []
        source = self._series[symbol]
        if same_series:
            source = max(self._series.values(), key=lambda bars: str(bars[0]["date"]))
        found = [dict(bar) for bar in source if start <= bar["date"] <= end]
        return [_split(bar, split) for bar in found] if split != 1.0 else found

    def v3(self, symbol: str, bars: Sequence[Bar]) -> dict[str, Any]:
        """Return the older shape; an unknown symbol gives an empty object."""
        return {"symbol": symbol, "historical": list(bars)} if bars else {}

    def stable(self, symbol: str, bars: Sequence[Bar]) -> list[dict[str, Any]]:
        """Return the present shape: a flat list."""
        return [{"symbol": symbol, **{name: bar.get(name) for name in _STABLE}} for bar in bars]

    def valuation(self, symbol: str) -> list[dict[str, Any]]:
        """Return a valuation: the shape is real, the value is made from the last close.

        No real valuations are published in number. Some tickers are not covered.
        """
        if symbol not in self._series or _draw(symbol, 7) == 0:
            return []
        bar = self._series[symbol][0]
        value = round(bar["close"] * (0.75 + _draw(symbol, 60) / 100), 2)
        return [{"symbol": symbol, "date": bar["date"], "dcf": value, "Stock Price": bar["close"]}]

    def valuations_csv(self) -> str:
        """Return all valuations in the shape of the bulk endpoint."""
        text = io.StringIO()
        writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(["symbol", "date", "dcf", "Stock Price"])
        for symbol in self._series:
            for row in self.valuation(symbol):
                writer.writerow(row.values())
        return text.getvalue()


def _bars(text: str) -> Iterator[Bar]:
    rows = list(csv.DictReader(io.StringIO(text)))
    for row in reversed(rows):
        yield {
            "date": row["Date"],
            **{name.lower(): _number(row[name]) for name in ("Open", "High", "Low", "Close")},
            "volume": _number(row["Volume"]),
        }


def _number(text: str) -> float | None:
    """Return a cell's number; the delivery has blank ones, as it was."""
    return float(text) if text else None


def _split(bar: Bar, factor: float) -> Bar:
    prices = {name: round(bar[name] / factor, 4) for name in _PRICES if bar.get(name) is not None}
    volumes = {name: round(bar[name] * factor) for name in _VOLUMES if bar.get(name) is not None}
    return bar | prices | volumes


def _draw(symbol: str, sides: int) -> int:
    return zlib.crc32(symbol.encode()) % sides
