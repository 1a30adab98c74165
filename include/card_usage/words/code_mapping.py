"""Texts of the workbench: gaps in the mapping, suggestions, the list that people fill in, and what is wrong with it."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    # --- why a code is suggested
    "why.same_name": ("与标准名称相同", "the standard's own name"),
    "why.synonym": ("常用名称", "a usual name"),
    "why.elsewhere": ("其他医院的选择", "other hospitals' choice"),
    "why.similar": ("名称相近", "a similar name"),
    # --- the list as a spreadsheet
    "sheet.gaps": ("待对照", "To map"),
    "sheet.codes": ("标准代码", "Standard codes"),
    "sheet.title": ("{hospital}：待对照的代码（{period}）", "{hospital}: codes to map ({period})"),
    "sheet.how": (
        "请在黄色列选择或填写标准代码，暂不确定的留空，保存后交回实施工程师。一处对照即可放行所有受影响的记录。",
        (
            "Choose or write the standard code in the yellow column, leave open what you do not know, save it "
            "and hand it back. One row releases all records that wait for it."
        ),
    ),
    "sheet_column.table": ("代码表", "Table"),
    "sheet_column.local": ("本院代码", "Local code"),
    "sheet_column.name": ("本院名称", "Local name"),
    "sheet_column.events": ("影响笔数", "Records"),
    "sheet_column.first": ("首日", "First day"),
    "sheet_column.last": ("末日", "Last day"),
    "sheet_column.feeds": ("业务", "Feeds"),
    "sheet_column.suggestion": ("建议", "Suggestion"),
    "sheet_column.score": ("把握", "Score"),
    "sheet_column.why": ("依据", "Why"),
    "sheet_column.standard": ("标准代码（请填写）", "Standard code (fill in)"),
    "sheet_column.note": ("备注（可填）", "Note (optional)"),
    # --- what is wrong with it
    "file.line": ("第 {line} 行", "line {line}"),
    "file.columns": ("缺少列 {columns}：请用导出的文件填写", "columns {columns} are missing: fill in an exported file"),
    "file.unreadable": (
        "打不开（{reason}）：请确认文件存在、未损坏，且为 .xlsx 或 .csv",
        "it cannot be opened ({reason}): is it there, whole, and an .xlsx or .csv?",
    ),
    "file.header": (
        "工作表“{sheet}”第 {row} 行的标题不见了：请不要改动标题行，或重新导出",
        "row {row} of the sheet '{sheet}' does not have its titles: leave that row as it is, or export again",
    ),
    "cell.no_table": ("没有这个代码表：请填 {known} 之一", "there is no such table: take one of {known}"),
    "cell.no_local": (
        "缺少本院代码：请补上，或清空本行的标准代码",
        "the local code is missing: write it, or empty the row",
    ),
    "cell.twice": (
        "“{local}”在 {where} 已填 {standard}：两处只能保留一个",
        "'{local}' already has {standard} at {where}: keep one of the two",
    ),
    "cell.number": (
        "单元格是数字，前面的 0 丢失：如指 {code} {name}，请从下拉列表选择，或把单元格设为文本再填",
        (
            "the cell is a number, which loses its leading zeros: if you mean {code} {name}, choose it from the list "
            "or make the cell text"
        ),
    ),
    "cell.shortened": (
        "代码被表格软件当成数字缩写了，后几位已丢失：请把该列设为文本，重新填写完整代码",
        "a spreadsheet took the code for a number and shortened it: make the column text and enter the whole code",
    ),
    "cell.long": ("本院代码超过 {most} 个字符：请核对", "the local code is longer than {most} characters: look again"),
    "cell.zeros": (
        "没有这个标准代码：如指 {code} {name}，请补上前面的 0",
        "is no standard code: if you mean {code} {name}, write its leading zeros",
    ),
    "cell.near": (
        "不在标准{table}表中：是否指 {near}？请填代码",
        "is not in the standard table of {table}s: perhaps {near}? Write the code",
    ),
    "cell.unknown": (
        "不在标准{table}表中：请从“标准代码”工作表中选择",
        "is not in the standard table of {table}s: choose from the sheet of standard codes",
    ),
    "cell.line": ("写法应为 代码表:本院代码=标准代码，例如 department:21010=0301", "write it as department:21010=0301"),
}
