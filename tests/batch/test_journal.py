from avel.batch.journal import settings_digest


def test_words_longer_than_a_name_of_a_file_can_be():
    words = ", ".join(["violin, fiddle", "rain"] * 40)
    assert settings_digest({"categories": words}, ["json"]) == settings_digest({"categories": words}, ["json"])
    assert settings_digest({"categories": words}, ["json"]) != settings_digest({"categories": words[1:]}, ["json"])
