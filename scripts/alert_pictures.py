"""Pictures of alerts for docs/images: a mail and a robot's message, drawn from the same code that sends them.

    .venv/bin/python scripts/alert_pictures.py

Needs Chromium (CHROMIUM names it; /usr/bin/chromium else). The incidents are invented; the words are the catalogue's.
"""

from __future__ import annotations

import html
import os
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "include"))

from card_usage.alerts.incidents import Condition, Incident, step  # noqa: E402
from card_usage.alerts.message import Notice, Origin, digest, message  # noqa: E402
from playwright.sync_api import Page, sync_playwright  # noqa: E402

NOW = datetime(2026, 3, 4, 23, 30, tzinfo=UTC)
ORIGIN = Origin(
    hospital="demo_hospital",
    name="示范市第一人民医院",
    name_en="Demo City First People's Hospital",
    airflow="https://airflow.example",
)
KEYS = ("5F0C2B7E41D95A8C9E0B3D6F7A1C4E82", "A93D1E6B70C85F2494B7E8D0C3A6F159")
CONDITIONS = (
    Condition(
        cause="unmapped_code",
        detail="department",
        severity="warning",
        count=47,
        since=NOW - timedelta(hours=7, minutes=9),
        facts={"table": "department", "codes": 2, "named": "21010\t睡眠医学门诊\t31\n21020\t多学科联合门诊\t16"},
        sample=KEYS,
    ),
    Condition(
        cause="replica_late",
        severity="warning",
        count=7,
        since=NOW - timedelta(hours=31, minutes=30),
        facts={"feeds": "registration,payment,dispensing,examination,laboratory", "all": 1},
    ),
    Condition(
        cause="misconfiguration",
        detail="platform",
        severity="critical",
        count=1284,
        since=NOW - timedelta(hours=5, minutes=20),
        facts={"reason": "the platform answers 21002", "code": "21002"},
        sample=KEYS[:1],
    ),
)
CHAT = """<!doctype html><meta charset="utf-8"><body style="margin:0;background:#ededed;padding:16px 14px;width:390px;
box-sizing:border-box;font:15px/1.6 'Noto Sans CJK SC',sans-serif"><div style="display:flex;gap:10px"><div
style="width:38px;height:38px;border-radius:5px;background:#2f7de1;color:#fff;text-align:center;line-height:38px;
flex:none">报</div><div>
<div style="font-size:12px;color:#888;margin-bottom:3px">用卡上报 <span style="background:#dfe7f3;color:#5c7ba6;
padding:0 4px;border-radius:2px">BOT</span></div><div style="background:#fff;border-radius:6px;padding:10px 14px;
width:290px;overflow-wrap:anywhere">{body}</div></div></div>"""


def incidents() -> list[Incident]:
    """As the sweep would open them."""
    return [change.incident for change in step(ORIGIN.hospital, (), CONDITIONS, NOW)]


def chat(subject: str, text: str) -> str:
    """Markdown as the chat of WeCom draws it: bold, quotes, links, lines."""
    lines = [f"<b>{html.escape(subject)}</b>"]
    for line in text.split("\n"):
        drawn = html.escape(line)
        drawn = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", drawn)
        drawn = re.sub(r"\[(.+?)\]\((.+?)\)", r'<span style="color:#2f7de1">\1</span>', drawn)
        if drawn.startswith("&gt; "):
            drawn = f'<span style="color:#888;border-left:3px solid #ddd;padding-left:8px">{drawn[5:]}</span>'
        lines.append(drawn)
    return CHAT.format(body="<br>".join(lines))


def draw(page: Page, content: str, width: int, path: Path) -> None:
    """The whole page, no higher than it is."""
    page.set_viewport_size({"width": width, "height": 200})
    page.set_content(content)
    page.screenshot(path=path, full_page=True)
    print(path.relative_to(ROOT))


def main() -> None:
    found = incidents()
    code = next(one for one in found if one.cause == "unmapped_code")
    images = ROOT / "docs" / "images"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(device_scale_factor=2)
        draw(page, digest(ORIGIN, found, "zh", NOW).html, 720, images / "alert-mail.zh-CN.png")
        one = message(ORIGIN, [Notice("opened", code)], "zh", NOW)
        draw(page, chat(one.subject, one.text), 390, images / "alert-wecom.zh-CN.png")
        browser.close()


if __name__ == "__main__":
    main()
