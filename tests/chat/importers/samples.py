"""Small files as other programs export chats, in their forms and with texts of our own."""

import json
from typing import Any

QUESTION, ANSWER, OTHER = "What is bread?", "Baked dough.", "Flour, water and heat."


def text(document: Any) -> bytes:
    return json.dumps(document).encode()


def original_json() -> Any:
    return {
        "my chat": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": QUESTION},
            {"role": "assistant", "content": ANSWER},
        ],
        "schön/er": [{"role": "user", "content": QUESTION}],
    }


def original_export() -> Any:
    return {
        "sessionId": "3f1c7d5e-0000-4000-8000-000000000001",
        "messages": [
            {"role": "user", "content": QUESTION},
            {"role": "assistant", "content": ANSWER},
        ],
        "settings": {
            "model": "Qwen/Qwen2.5-0.5B-Instruct",
            "device": "cpu",
            "temperature": 0.5,
            "topP": 0.9,
            "topK": -1,
            "maxTokens": 256,
            "repeatPenalty": 1.1,
            "systemPrompt": "Be brief.",
            "stopSequences": "END, ",
        },
        "exportDate": "2026-01-02T03:04:05.678Z",
        "exportType": "session",
        "messageCount": 2,
    }


def original_export_of_all() -> Any:
    one = original_export()
    sessions = [
        {"sessionId": "first", "messages": one["messages"], "messageCount": 2},
        {"sessionId": "broken", "messages": "?", "messageCount": 0},
        {"sessionId": "last", "messages": one["messages"][:1], "messageCount": 1},
    ]
    return {"sessions": sessions, "exportType": "all", "exportDate": one["exportDate"]}


def chatgpt() -> Any:
    """Two answers to a question, one of them after a thought and a search."""

    def node(id: str, parent: str | None, message: Any) -> dict[str, Any]:
        return {"id": id, "parent": parent, "children": [], "message": message}

    def message(role: str, content: Any, at: float, **more: Any) -> dict[str, Any]:
        made = {"author": {"role": role}, "create_time": at, "content": content}
        return {**made, "metadata": {}, "recipient": "all", **more}

    def plain(*parts: Any) -> dict[str, Any]:
        return {"content_type": "text", "parts": list(parts)}

    nodes = [
        node("root", None, None),
        node("hidden", "root", message("system", plain(""), 1)),
        node("q", "hidden", message("user", plain(QUESTION), 1_700_000_000.5)),
        node("a1", "q", message("assistant", plain(OTHER), 1_700_000_001.0)),
        node(
            "thought",
            "q",
            message(
                "assistant",
                {"content_type": "thoughts", "thoughts": [{"summary": "", "content": "Hm."}]},
                1_700_000_002.0,
            ),
        ),
        node(
            "call",
            "thought",
            message(
                "assistant",
                {"content_type": "code", "text": "search()"},
                1_700_000_003.0,
                recipient="web",
            ),
        ),
        node("result", "call", message("tool", plain("found"), 1_700_000_004.0)),
        node(
            "a2",
            "result",
            message(
                "assistant",
                plain(ANSWER),
                1_700_000_005.0,
                metadata={"model_slug": "gpt-4o"},
            ),
        ),
    ]
    conversation = {
        "conversation_id": "6789abcd-0000-4000-8000-000000000002",
        "title": "Bread",
        "create_time": 1_700_000_000.0,
        "update_time": 1_700_000_009.0,
        "mapping": {entry["id"]: entry for entry in nodes},
        "current_node": "a2",
    }
    return [
        conversation,
        {"title": "Broken", "mapping": None},
        {**conversation, "conversation_id": "c3"},
    ]


def claude() -> Any:
    return [
        {
            "uuid": "aaaaaaaa-0000-4000-8000-000000000003",
            "name": "Bread",
            "created_at": "2026-01-02T03:04:05.678901Z",
            "updated_at": "2026-01-02T03:05:05Z",
            "chat_messages": [
                {
                    "uuid": "m1",
                    "sender": "human",
                    "text": QUESTION,
                    "created_at": "2026-01-02T03:04:05Z",
                    "attachments": [{"file_name": "a.txt", "extracted_content": "flour"}],
                },
                {
                    "uuid": "m2",
                    "sender": "assistant",
                    "text": "",
                    "content": [
                        {"type": "thinking", "thinking": "Hm."},
                        {"type": "tool_use", "name": "search", "input": {}},
                        {"type": "text", "text": ANSWER},
                    ],
                    "created_at": "2026-01-02T03:04:09Z",
                },
            ],
        }
    ]


def open_webui() -> Any:
    thoughts = '<details type="reasoning" done="true" duration="2">\n<summary>Thought</summary>\n'
    messages = {
        "u": {"id": "u", "parentId": None, "role": "user", "content": QUESTION, "timestamp": 1.7e9},
        "a": {"id": "a", "parentId": "u", "role": "assistant", "content": OTHER},
        "b": {
            "id": "b",
            "parentId": "u",
            "role": "assistant",
            "content": f"{thoughts}> Hm.\n</details>\n{ANSWER}",
            "model": "llama3",
        },
    }
    return [
        {
            "id": "bbbbbbbb-0000-4000-8000-000000000004",
            "title": "Bread",
            "pinned": True,
            "created_at": 1_700_000_000,
            "updated_at": 1_700_000_100,
            "chat": {
                "system": "Be brief.",
                "history": {"messages": messages, "currentId": "b"},
            },
        }
    ]


def lm_studio() -> Any:
    asked = {"type": "singleStep", "role": "user", "content": [{"type": "text", "text": QUESTION}]}

    def answer(words: str, thought: str = "") -> dict[str, Any]:
        style = {"type": "thinking"}
        steps = [{"type": "contentBlock", "style": style, "content": [{"text": thought}]}]
        steps = steps if thought else []
        steps.append({"type": "contentBlock", "content": [{"type": "text", "text": words}]})
        return {"type": "multiStep", "role": "assistant", "steps": steps}

    return {
        "name": "Bread",
        "pinned": False,
        "createdAt": 1_700_000_000_000,
        "systemPrompt": "Be brief.",
        "messages": [
            {"versions": [asked], "currentlySelected": 0},
            {"versions": [answer(OTHER), answer(ANSWER, "Hm.")], "currentlySelected": 1},
        ],
    }


def jan_messages() -> bytes:
    def line(id: str, role: str, words: str) -> bytes:
        content = [{"type": "text", "text": {"value": words, "annotations": []}}]
        return text(
            {
                "id": id,
                "object": "thread.message",
                "thread_id": "jan-thread",
                "role": role,
                "content": content,
                "created_at": 1_700_000_000,
            }
        )

    return b"\n".join([line("j1", "user", QUESTION), line("j2", "assistant", ANSWER)]) + b"\n"


def jan_thread() -> Any:
    return {
        "id": "jan-thread",
        "title": "Bread",
        "created": 1_700_000_000,
        "updated": 1_700_000_050,
        "assistants": [{"instructions": "Be brief."}],
    }


def librechat(*, nested: bool) -> Any:
    root = "00000000-0000-0000-0000-000000000000"
    made = "2026-01-02T03:04:05.678Z"
    asked = {"messageId": "l1", "text": QUESTION, "isCreatedByUser": True, "createdAt": made}
    other = {"messageId": "l2", "text": OTHER, "isCreatedByUser": False, "createdAt": made}
    answer = {
        "messageId": "l3",
        "text": "",
        "content": [{"type": "think", "think": "Hm."}, {"type": "text", "text": ANSWER}],
        "isCreatedByUser": False,
        "createdAt": "2026-01-02T03:04:09.000Z",
        "model": "mixtral",
    }
    if nested:
        messages = [{**asked, "parentMessageId": root, "children": [other, answer]}]
    else:
        messages = [
            {**asked, "parentMessageId": root},
            {**other, "parentMessageId": "l1"},
            {**answer, "parentMessageId": "l1"},
        ]
    return {
        "conversationId": "cccccccc-0000-4000-8000-000000000005",
        "title": "Bread",
        "options": {"promptPrefix": "Be brief."},
        "recursive": nested,
        "messages": messages,
    }
