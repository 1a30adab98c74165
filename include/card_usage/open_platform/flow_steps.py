"""Flow steps: the flows of document 2.3 to 2.6, and scan-to-treat, step by step. flows.py carries them out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step of a flow. `section`: of the document; `interface`: which one is called, if any."""

    section: str
    zh: str
    en: str
    interface: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Flow:
    """One flow of the document."""

    name: str
    section: str
    zh: str
    en: str
    steps: tuple[Step, ...]


def _s(section: str, zh: str, en: str, interface: str = "") -> Step:
    return Step(section=section, zh=zh, en=en, interface=interface)


FLOWS: Final[Mapping[str, Flow]] = {
    flow.name: flow
    for flow in (
        Flow(
            name="new-card",
            section="2.3",
            zh="新用户建卡",
            en="a new user makes a card",
            steps=(
                _s("2.3.2 (1)", "用户访问建卡页面，跳转平台取得微信身份码", "the user's wechatCode comes from a page"),
                _s(
                    "2.3.2 (2)",
                    "上传身份证照片识别，或手工填写",
                    "an ID picture is read, or the user types it in",
                    "ocrInfo",
                ),
                _s(
                    "2.3.2 (3), (4)",
                    "注册健康卡：平台核身，已有卡则返回原卡",
                    "register: the platform verifies the person, who has a card gets it back",
                    "registerHealthCard",
                ),
                _s("2.3.2 (5)", "HIS 查询建档，没有则新建，得到院内 ID", "the HIS finds the person, or files him"),
                _s("2.3.2 (6)", "绑定健康卡和院内 ID", "bind card and the hospital's own id", "bindCardRelation"),
                _s(
                    "2.3.2 (6)",
                    "用户选卡回跳，用授权码取得健康卡及院内 ID",
                    "the user chooses the card; it comes with the hospital's id",
                    "getHealthCardByHealthCode",
                ),
                _s("2.3.2 (7)", "页面展示动态二维码", "the page shows a dynamic QR code", "getDynamicQRCode"),
            ),
        ),
        Flow(
            name="known-card",
            section="2.4",
            zh="跨院一键注册建卡",
            en="a card from elsewhere, with one touch",
            steps=(
                _s("2.4.2 (1)", "用户在平台页面选择一张健康卡，回跳带授权码", "the user chooses a card on a page"),
                _s(
                    "2.4.2 (2), (3)",
                    "用授权码取得健康卡信息",
                    "get the card by its health code",
                    "getHealthCardByHealthCode",
                ),
                _s("2.4.2 (4)", "HIS 查询建档，没有则新建，得到院内 ID", "the HIS finds the person, or files him"),
                _s("2.4.2 (5)", "绑定健康卡和院内 ID", "bind card and the hospital's own id", "bindCardRelation"),
                _s(
                    "2.4.2 (6)",
                    "展示健康卡；再取一次，院内 ID 已随卡返回",
                    "show the card; fetched again, it comes with the hospital's id",
                    "getHealthCardByHealthCode",
                ),
            ),
        ),
        Flow(
            name="batch",
            section="2.5",
            zh="老用户批量升级",
            en="patients upgraded in a batch",
            steps=(
                _s(
                    "2.5.2 (1)",
                    "准备身份信息、openId 和模板消息 URL",
                    "gather identities, openIds and the message's URL",
                ),
                _s(
                    "2.5.2 (1) - (3)",
                    "注册批量健康卡，逐人返回结果",
                    "register the batch; each has his result",
                    "registerBatchHealthCard",
                ),
                _s("2.5.2 (4)", "官网按 openId 推送升级模板消息", "the website sends the message to these openIds"),
                _s(
                    "2.5.2 (5) - (7)",
                    "用户点开消息，跳转激活页，激活后回跳",
                    "the user opens it and activates",
                ),
                _s(
                    "2.5.2 (8)",
                    "进入健康卡页面，展示动态二维码",
                    "the card's page shows a dynamic QR code",
                    "getDynamicQRCode",
                ),
            ),
        ),
        Flow(
            name="card-package",
            section="2.6",
            zh="统一卡包",
            en="into the WeChat card package",
            steps=(
                _s(
                    "2.6.1 (1)",
                    "用户打开健康卡二维码，点击进入卡包",
                    "the user wants the card in the package",
                ),
                _s("2.6.1 (2)", "获取卡包订单 ID", "fetch an order", "getOrderIdByOutAppId"),
                _s("2.6.1 (3) - (5)", "跳转领卡页面，领取后订单失效", "the user takes the card; the order is spent"),
            ),
        ),
        Flow(
            name="scan",
            section="3.2.4, 3.2.11",
            zh="扫码就医",
            en="scan to treat",
            steps=(
                _s("3.2.4", "静态码：患者出示二维码，终端扫得文本", "a static code: the terminal scans its text"),
                _s("3.2.4", "用二维码取得健康卡信息", "get the card by its QR text", "getHealthCardByQRCode"),
                _s("2.7.2", "业务完成后上报用卡", "report the use once it is done", "reportHISData"),
                _s("3.2.10", "动态码：患者页面刷新二维码", "a dynamic code: the page refreshes it", "getDynamicQRCode"),
                _s(
                    "3.2.11",
                    "终端校验动态码，平台同时计一次用卡，不再上报",
                    "verify it; the platform counts the use, which is not reported",
                    "verifyQRCode",
                ),
            ),
        ),
    )
}
"""Every flow by its name."""


def markdown() -> str:
    """The steps of every flow, for docs/flows.md."""
    lines = []
    for flow in FLOWS.values():
        lines += [f"### {flow.zh} / {flow.en} (`{flow.name}`, {flow.section})", ""]
        lines += ["| | 文档 § | 步骤 | Step | 接口 Interface |", "| --- | --- | --- | --- | --- |"]
        for number, step in enumerate(flow.steps, start=1):
            called = f"`{step.interface}`" if step.interface else ""
            lines.append(f"| {number} | {step.section} | {step.zh} | {step.en} | {called} |")
        lines.append("")
    return "\n".join(lines)
