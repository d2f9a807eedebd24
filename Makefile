# Forwards to `cargo xtask <verb>`; settings: DOCS= QUERY= QUICK= HOURS= PREFIX= DESTDIR= ONLY=
# (ONLY names test stages: make test ONLY="rust c").
export DOCS QUERY QUICK HOURS PREFIX DESTDIR
VERBS := demo lint chaos bench dist install codegen floors setup

.PHONY: test $(VERBS)
test:
	@cargo xtask test $(ONLY)
$(VERBS):
	@cargo xtask $@
