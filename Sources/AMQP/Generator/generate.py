#!/usr/bin/env python3
"""Writes ../Generated/*.swift and Tests/AMQPTests/EveryMethod+generated.swift from amqp-rabbitmq-0.9.1.json (RabbitMQ's machine-readable AMQP 0-9-1 with its extensions).

Run it after a change of this file or of the JSON; the output is committed. Formatting is left to swift-format.
"""
import json
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
SPEC = json.loads((HERE / "amqp-rabbitmq-0.9.1.json").read_text())
DOMAINS = dict(SPEC["domains"])
OUT = HERE.parent / "Generated"
NAMES = {"nowait": "noWait", "class-id": "classID", "method-id": "methodID", "channel-id": "channelID"}
KEYWORDS = {"internal"}

SWIFT = {
    "octet": "UInt8", "short": "UInt16", "long": "UInt32", "longlong": "UInt64", "timestamp": "UInt64",
    "bit": "Bool", "shortstr": "String", "longstr": "Bytes", "table": "FieldTable",
}
READ = {
    "octet": "reader.read(UInt8.self)", "short": "reader.readBigEndian(UInt16.self)",
    "long": "reader.readBigEndian(UInt32.self)", "longlong": "reader.readBigEndian(UInt64.self)",
    "timestamp": "reader.readBigEndian(UInt64.self)", "shortstr": "reader.readShortString()",
    "longstr": "reader.readLongString()", "table": "reader.readFieldTable()",
}
WRITE = {
    "octet": "writer.write({})", "short": "writer.writeBigEndian({})", "long": "writer.writeBigEndian({})",
    "longlong": "writer.writeBigEndian({})", "timestamp": "writer.writeBigEndian({})",
    "shortstr": "writer.writeShortString({})", "longstr": "writer.writeLongString({})",
    "table": "writer.writeFieldTable({})",
}


def camel(text, upper=False):
    parts = text.split("-")
    head = parts[0].capitalize() if upper else parts[0]
    return head + "".join(p.capitalize() for p in parts[1:])


def field_name(argument):
    return NAMES.get(argument["name"], camel(argument["name"]))


def quoted(name):
    return f"`{name}`" if name in KEYWORDS else name


def wire_type(argument):
    kind = argument.get("type") or argument["domain"]
    return DOMAINS[kind]


def default(argument):
    kind = wire_type(argument)
    if "default-value" not in argument:
        return None
    value = argument["default-value"]
    if kind == "bit":
        return "true" if value else "false"
    if kind == "table":
        return "FieldTable()"
    if kind == "longstr":
        return f'Bytes("{value}")' if value else "Bytes()"
    if kind == "shortstr":
        return f'"{value}"'
    return str(value)


def runs_of_bits(arguments):
    """Arguments in order, with neighbouring bits gathered in lists: they share octets, lowest bit first."""
    runs = []
    for argument in arguments:
        if wire_type(argument) == "bit" and runs and isinstance(runs[-1], list) and len(runs[-1]) < 8:
            runs[-1].append(argument)
        else:
            runs.append([argument] if wire_type(argument) == "bit" else argument)
    return runs


def struct(cls, method):
    name = camel(cls["name"], True) + camel(method["name"], True)
    arguments = method["arguments"]
    lines = [
        f"/// `{cls['name']}.{method['name']}`, method {method['id']} of class {cls['id']}"
        + ("; content follows." if method.get("content") else "."),
        f"public struct {name}: MethodPayload {{",
        "    @inlinable public static var id: MethodID { MethodID(classID: %d, methodID: %d) }" % (cls["id"], method["id"]),
        '    @inlinable public static var name: String { "%s.%s" }' % (cls["name"], method["name"]),
        "    @inlinable public static var hasContent: Bool { %s }" % ("true" if method.get("content") else "false"),
    ]
    for a in arguments:
        about = "Left over from AMQP 0-8, ignored." if a["name"] == "ticket" else f"`{a['name']}`, {wire_type(a)}."
        lines += [f"    /// {about}", f"    public var {quoted(field_name(a))}: {SWIFT[wire_type(a)]}"]
    if arguments:
        parameters = []
        for a in arguments:
            value = default(a)
            parameters.append(f"{field_name(a)}: {SWIFT[wire_type(a)]}" + (f" = {value}" if value is not None else ""))
        lines += ["", "    /// Defaults are those of the protocol."]
        text = f"    public init({', '.join(parameters)}) {{"
        if len(text) > 120:
            text = "    public init(\n        " + ",\n        ".join(parameters) + "\n    ) {"
        lines.append(text)
        for a in arguments:
            lines.append(f"        self.{field_name(a)} = {quoted(field_name(a))}")
        lines.append("    }")
    else:
        lines += ["", "    /// No arguments.", "    public init() {}"]
    lines += ["", "    @inlinable public init(decoding reader: inout ByteReader) throws(DecodingFailure) {"]
    for index, run in enumerate(runs_of_bits(arguments)):
        if isinstance(run, list):
            lines.append(f"        let bits{index} = try reader.read(UInt8.self)")
            for bit, a in enumerate(run):
                lines.append(f"        self.{field_name(a)} = bits{index} & {1 << bit} != 0")
        else:
            lines.append(f"        self.{field_name(run)} = try {READ[wire_type(run)]}")
    lines.append("    }")
    lines += ["", "    @inlinable public func encodeArguments(into writer: inout ByteWriter) {"]
    for run in runs_of_bits(arguments):
        if isinstance(run, list):
            terms = " | ".join(f"({quoted(field_name(a))} ? {1 << bit} : 0)" for bit, a in enumerate(run))
            lines.append(f"        writer.write(UInt8({terms}))")
        else:
            lines.append("        " + WRITE[wire_type(run)].format(quoted(field_name(run))))
    lines += ["    }", "}"]
    text = "\n".join(lines).replace(" {\n    }\n", " {}\n")
    return text.split("\n")


def header():
    """Members that implement `MethodPayload` inherit its documentation."""
    return ["// Generated by Generator/generate.py from amqp-rabbitmq-0.9.1.json. Do not edit.",
            "// swift-format-ignore-file: AllPublicDeclarationsHaveDocumentation", "", "public import Primitives", ""]


def class_file(cls):
    lines = header()
    for method in cls["methods"]:
        lines += struct(cls, method) + [""]
    (OUT / f"{camel(cls['name'], True)}Methods+generated.swift").write_text("\n".join(lines).rstrip() + "\n")


def method_file():
    every = [
        (camel(c["name"]) + camel(m["name"], True), camel(c["name"], True) + camel(m["name"], True), c, m)
        for c in SPEC["classes"] for m in c["methods"]
    ]
    lines = header()
    lines += ["/// Any method of AMQP 0-9-1 and of RabbitMQ's extensions.", "public enum Method: Hashable, Sendable {"]
    for case, name, c, m in every:
        lines += [f"    /// `{c['name']}.{m['name']}`.", f"    case {case}({name})"]
    lines += ["}", "", "extension Method {"]
    lines += [
        "    /// Decodes the arguments that follow the method's id, which `reader` has passed already; nil for an unknown id.",
        "    @inline(never) static func decode(",
        "        _ id: MethodID, from reader: inout ByteReader",
        "    ) throws(DecodingFailure) -> Method? {",
        "        switch id {",
    ]
    for case, name, c, m in every:
        lines.append(f"        case {name}.id: .{case}(try {name}(decoding: &reader))")
    lines += ["        default: nil", "        }", "    }", ""]
    lines += ["    /// The class and method numbers.", "    public var id: MethodID {", "        switch self {"]
    lines += [f"        case .{case}: {name}.id" for case, name, _, _ in every]
    lines += ["        }", "    }", ""]
    lines += ['    /// As written in the specification: `basic.publish`.', "    public var name: String {", "        switch self {"]
    lines += [f"        case .{case}: {name}.name" for case, name, _, _ in every]
    lines += ["        }", "    }", ""]
    lines += ["    /// A content header and body follow.", "    public var hasContent: Bool {", "        switch self {"]
    content = ", ".join(f".{case}" for case, _, _, m in every if m.get("content"))
    lines += [f"        case {content}: true", "        default: false", "        }", "    }", ""]
    lines += ["    /// Appends the arguments, without the method's id.",
              "    public func encodeArguments(into writer: inout ByteWriter) {", "        switch self {"]
    lines += [f"        case .{case}(let payload): payload.encodeArguments(into: &writer)" for case, *_ in every]
    lines += ["        }", "    }", "}"]
    (OUT / "Method+generated.swift").write_text("\n".join(lines) + "\n")


def reply_code_file():
    codes = [c for c in SPEC["constants"] if c["value"] >= 200 and not c["name"].startswith("FRAME-") or "class" in c]
    codes = sorted(codes, key=lambda c: c["value"])
    case = {c["name"]: camel(c["name"].lower()) for c in codes}
    case["REPLY-SUCCESS"] = "success"
    lines = ["// Generated by Generator/generate.py from amqp-rabbitmq-0.9.1.json. Do not edit.", "",
             "/// Why a connection or channel is closed, or a message returned (AMQP 0-9-1, constants).",
             "public enum ReplyCode: UInt16, Hashable, Sendable, CaseIterable {"]
    for c in codes:
        scope = {"hard-error": "Closes the connection", "soft-error": "Closes the channel"}.get(c.get("class"), "No error")
        lines += [f"    /// {scope}.", f"    case {case[c['name']]} = {c['value']}"]
    lines += ["", "    /// The standard name, which reply texts begin with: `NOT_FOUND`.", "    public var name: String {",
              "        switch self {"]
    lines += [f'        case .{case[c["name"]]}: "{c["name"].replace("-", "_")}"' for c in codes]
    lines += ["        }", "    }", "", "    /// The specification's hard errors: the connection must be closed.",
              "    public var closesConnection: Bool {", "        switch self {"]
    lines += ["        case " + ", ".join("." + case[c["name"]] for c in codes if c.get("class") == "hard-error") + ": true"]
    lines += ["        default: false", "        }", "    }", "}"]
    (OUT / "ReplyCode+generated.swift").write_text("\n".join(lines) + "\n")


def sample(argument, salt):
    """A value that differs from the default and from its neighbours, so that swapped arguments show."""
    name = argument["name"]
    return {
        "octet": str(200 + salt % 50), "short": str(0xA100 + salt), "long": str(0xB2000000 + salt),
        "longlong": str(0xC300000000000000 + salt), "timestamp": str(1700000000 + salt),
        "bit": "true" if salt % 2 else "false", "shortstr": f'"{name} {salt}"', "longstr": f'Bytes("{name} {salt}")',
        "table": f'["{name}": {salt}, "nested": .table(["list": .array([true, .void, "x"])])]',
    }[wire_type(argument)]


def test_file():
    lines = ["// Generated by Generator/generate.py from amqp-rabbitmq-0.9.1.json. Do not edit.", "", "import AMQP",
             "import Primitives", "", "/// Every method twice, each bit once true and once false.",
             "let everyMethod: [Method] = ["]
    for c in SPEC["classes"]:
        for m in c["methods"]:
            for flip in (0, 1):
                arguments = ", ".join(f"{field_name(a)}: {sample(a, i + flip)}" for i, a in enumerate(m["arguments"]))
                case, name = camel(c["name"]) + camel(m["name"], True), camel(c["name"], True) + camel(m["name"], True)
                lines.append(f"    .{case}({name}({arguments})),")
    lines.append("]")
    target = HERE.parents[2] / "Tests" / "AMQPTests" / "EveryMethod+generated.swift"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("\n".join(lines) + "\n")


OUT.mkdir(exist_ok=True)
for each in SPEC["classes"]:
    class_file(each)
method_file()
reply_code_file()
test_file()
