"""What a change board reads, before and after: one view, rendered as HTML, text and JSON.

`view.build_view` is pure; `html`, `text` and `as_json` render the view and nothing else; `write` is the only
part that touches a disk. Text from guests and hypervisors is hostile: it is made printable and escaped in
every output.
"""
