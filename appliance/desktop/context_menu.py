"""The menu of a right click, which pywebview switches off: what can be done with text."""

from typing import Any

GTK_ACTIONS = (
    "UNDO",
    "REDO",
    "CUT",
    "COPY",
    "PASTE",
    "PASTE_AS_PLAIN_TEXT",
    "DELETE",
    "SELECT_ALL",
    "COPY_LINK_TO_CLIPBOARD",
    "INPUT_METHODS",
    "INSERT_EMOJI",
    "SPELLING_GUESS",
    "NO_GUESSES_FOUND",
    "IGNORE_SPELLING",
    "LEARN_SPELLING",
)
"""Of WebKit's; others, such as Back and Reload, are a browser's. Older versions lack some."""
QT_ACTIONS = (
    "Undo",
    "Redo",
    "Cut",
    "Copy",
    "Paste",
    "PasteAndMatchStyle",
    "SelectAll",
    "CopyLinkToClipboard",
)


def allow_gtk(view: Any) -> None:
    """Give a `WebKit2.WebView` the menu; on GTK's thread."""
    from gi.repository import GObject

    signal = GObject.signal_lookup("context-menu", view)
    by_signal = GObject.SignalMatchType.ID
    # pywebview's handler, which suppresses it.
    if found := GObject.signal_handler_find(view, by_signal, signal, 0, None, None, None):
        view.disconnect(found)
    view.connect("context-menu", _trim_gtk)


def _trim_gtk(_view: Any, menu: Any, *_: Any) -> bool:
    """Whether the menu is suppressed."""
    from gi.repository import WebKit2

    kinds = WebKit2.ContextMenuAction
    kept = {getattr(kinds, name) for name in GTK_ACTIONS if hasattr(kinds, name)}
    after_separator = True
    for item in menu.get_items():
        separator = item.is_separator()
        if (separator and after_separator) or (
            not separator and item.get_stock_action() not in kept
        ):
            menu.remove(item)
        else:
            after_separator = separator
    if menu.get_n_items() == 0:
        menu.append(WebKit2.ContextMenuItem.new_from_stock_action(kinds.SELECT_ALL))
    elif menu.last().is_separator():
        menu.remove(menu.last())
    return False


def allow_qt(view: Any) -> None:
    """Give a `QWebEngineView` the menu; on Qt's thread."""
    from PySide6.QtCore import Qt

    view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
    view.customContextMenuRequested.connect(lambda place: _show_qt(view, place))


def _show_qt(view: Any, place: Any) -> None:
    from PySide6.QtWebEngineCore import QWebEnginePage

    menu = view.createStandardContextMenu()
    kept = [view.page().action(QWebEnginePage.WebAction[name]) for name in QT_ACTIONS]
    for action in menu.actions():
        if action not in kept and not action.isSeparator():
            menu.removeAction(action)
    if all(action.isSeparator() for action in menu.actions()):
        menu.addAction(view.page().action(QWebEnginePage.WebAction.SelectAll))
    menu.popup(view.mapToGlobal(place))
