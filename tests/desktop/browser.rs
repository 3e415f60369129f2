//! Pages in a real browser.

use crate::chromium::Chromium;

#[test]
#[ignore = "it needs chromium"]
fn a_click_and_a_word_reach_a_page() {
    let mut browser = Chromium::start();
    let page = "<input id=i><button onclick=\"document.body.append('clicked ' + i.value)\">Go</button>";
    browser.open(&format!("data:text/html,{page}"));
    browser.click("input");
    browser.type_text("twice");
    browser.click("button");
    browser.wait_for_text("clicked twice");
}
